//! The network between the processes, with the broker in its middle: every message takes two hops, and each
//! hop its time, or for ever.

use std::collections::BTreeMap;

use tokio::sync::mpsc;
use watchpost_bus::{BusError, Headers, Message, Outgoing, Status, subject_matches};

use super::log::{ProcessId, Us};
use super::rng::Rng;

/// How a network is, in chances per thousand and µs.
#[derive(Debug, Clone)]
pub struct Weather {
    /// The length of the simulation's steps, which no hop is shorter than: so processes can run one after
    /// the other through a step, since nothing that one says in it can reach another.
    pub step_us: Us,
    /// How much longer than a step a hop takes.
    pub jitter_us: Us,
    pub spike: u64,
    pub spike_us: Us,
    pub lost: u64,
    pub twice: u64,
    /// Whether messages overtake one another.
    pub shuffled: bool,
    /// How often handing a message over takes its time, and how long at most.
    pub slow_publish: u64,
    pub slow_publish_us: Us,
    /// How many messages a subscription holds.
    pub capacity: usize,
}

impl Weather {
    /// How long a hop takes at most where nothing goes wrong: it ends at the end of a step.
    pub fn hop_us(&self) -> Us {
        2 * self.step_us + self.jitter_us
    }
}

/// How a process is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    Up,
    /// Not at all, and both ends know.
    Refusing,
    /// Not at all, and nobody knows: what is sent either way is lost.
    Silent,
    /// Not at all, and what is sent either way comes later.
    Held,
}

pub struct Network {
    pub weather: Weather,
    rng: Rng,
    seats: BTreeMap<u64, Seat>,
    links: Vec<Link>,
    flights: BTreeMap<(Us, u64), Flight>,
    numbers: u64,
}

struct Seat {
    process: ProcessId,
    filter: String,
    queue: Option<String>,
    sender: mpsc::Sender<Message>,
    listens: bool,
}

struct Link {
    line: Line,
    until: Us,
    /// When the latest message of each direction arrives: none overtakes it, unless they are shuffled.
    out_by: Us,
    in_by: Us,
    /// Whether there is still a process at this end.
    alive: bool,
}

enum Flight {
    ToBroker(ProcessId, Message),
    ToSeat(u64, Message),
    CloseSeat(u64),
    /// The broker notices that a process is gone.
    Forget(ProcessId),
}

impl Network {
    pub fn new(weather: Weather, rng: Rng) -> Self {
        Self { weather, rng, seats: BTreeMap::new(), links: Vec::new(), flights: BTreeMap::new(), numbers: 0 }
    }

    /// Connects a process. They are numbered in the order in which they come.
    pub fn connect(&mut self) -> ProcessId {
        self.links.push(Link { line: Line::Up, until: 0, out_by: 0, in_by: 0, alive: true });
        self.links.len() - 1
    }

    pub fn line(&self, process: ProcessId) -> Line {
        self.links[process].line
    }

    pub fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub fn cut_off(&mut self, process: ProcessId, line: Line, until: Us) {
        let link = &mut self.links[process];
        (link.line, link.until) = (line, until);
    }

    /// A process is gone; the broker notices after a while. What it had said is under way.
    pub fn kill(&mut self, process: ProcessId, noticed_at: Us) {
        self.links[process].alive = false;
        self.take_off(noticed_at, Flight::Forget(process));
    }

    /// How long handing a message over takes.
    pub fn publish_takes(&mut self) -> Option<Us> {
        let Weather { slow_publish, slow_publish_us, .. } = self.weather;
        self.rng.chance(slow_publish).then(|| self.rng.range(1_000, slow_publish_us))
    }

    pub fn publish(&mut self, now: Us, from: ProcessId, message: Outgoing) -> Result<(), BusError> {
        if self.links[from].line == Line::Refusing {
            return Err(unavailable());
        }
        let message = Message::from(message);
        for _ in 0..self.copies() {
            let at = self.arrival(now, from, true);
            self.take_off(at, Flight::ToBroker(from, message.clone()));
        }
        Ok(())
    }

    /// When what was published before has left; `None` where it does not leave.
    pub fn flushed_at(&self, process: ProcessId) -> Option<Us> {
        let link = &self.links[process];
        match link.line {
            Line::Up | Line::Held => Some(link.out_by),
            Line::Refusing | Line::Silent => None,
        }
    }

    pub fn subscribe(
        &mut self,
        process: ProcessId,
        filter: &str,
        queue: Option<&str>,
    ) -> Result<(u64, mpsc::Receiver<Message>), BusError> {
        if self.links[process].line != Line::Up {
            return Err(unavailable());
        }
        let (sender, receiver) = mpsc::channel(self.weather.capacity);
        let id = self.number();
        let (filter, queue) = (filter.to_owned(), queue.map(str::to_owned));
        self.seats.insert(id, Seat { process, filter, queue, sender, listens: true });
        Ok((id, receiver))
    }

    /// Nothing more is sent to a subscription. It ends when what is under way to it has arrived.
    pub fn unsubscribe(&mut self, now: Us, id: u64) {
        let Some(seat) = self.seats.get_mut(&id) else { return };
        seat.listens = false;
        let at = self.links[seat.process].in_by.max(now + self.weather.step_us);
        self.take_off(at, Flight::CloseSeat(id));
    }

    /// Lets everything arrive that is due. `arrived` hears of what reaches a process.
    pub fn deliver_until(&mut self, now: Us, mut arrived: impl FnMut(ProcessId, &Message)) {
        for link in &mut self.links {
            if link.line != Line::Up && link.until <= now {
                link.line = Line::Up;
            }
        }
        while let Some(first) = self.flights.first_entry()
            && first.key().0 <= now
        {
            match first.remove() {
                Flight::ToBroker(from, message) => self.route(now, from, &message),
                Flight::ToSeat(id, message) => {
                    // Whoever answers requests hears them besides the Runner, which acts on what it hears itself.
                    let acts = self.seats.get(&id).is_some_and(|seat| !seat.filter.ends_with(".control.>"));
                    if let Some(process) = self.land(now, id, &message)
                        && acts
                    {
                        arrived(process, &message);
                    }
                }
                Flight::CloseSeat(id) => drop(self.seats.remove(&id)),
                Flight::Forget(process) => self.seats.retain(|_, seat| seat.process != process),
            }
        }
    }

    /// The broker passes a message on.
    fn route(&mut self, now: Us, from: ProcessId, message: &Message) {
        match self.links[from].line {
            Line::Up => {}
            Line::Held => {
                let until = self.links[from].until + self.weather.step_us;
                return self.take_off(until, Flight::ToBroker(from, message.clone()));
            }
            // It was under way when the line went.
            Line::Refusing | Line::Silent => return,
        }
        let mut groups = BTreeMap::<&str, Vec<u64>>::new();
        let mut to = Vec::new();
        for (id, seat) in &self.seats {
            let connected = self.links[seat.process].line != Line::Refusing;
            if !(seat.listens && connected && subject_matches(&seat.filter, &message.subject)) {
                continue;
            }
            match &seat.queue {
                Some(queue) => groups.entry(queue).or_default().push(*id),
                None => to.push(*id),
            }
        }
        for members in groups.values() {
            to.push(*self.rng.pick(members));
        }
        if to.is_empty() {
            return self.say_that_nobody_listens(now, from, message);
        }
        for id in to {
            self.send(now, id, message.clone());
        }
    }

    fn say_that_nobody_listens(&mut self, now: Us, from: ProcessId, message: &Message) {
        let Some(reply) = message.reply.clone() else { return };
        let hears = |seat: &Seat| seat.process == from && seat.listens && subject_matches(&seat.filter, &reply);
        let to: Vec<u64> = self.seats.iter().filter(|(_, seat)| hears(seat)).map(|(id, _)| *id).collect();
        for id in to {
            let status = Some(Status::NoResponders);
            let told = Message {
                subject: reply.clone(),
                reply: None,
                headers: Headers::new(),
                payload: Vec::new().into(),
                status,
            };
            self.send(now, id, told);
        }
    }

    fn send(&mut self, now: Us, id: u64, message: Message) {
        let process = self.seats[&id].process;
        for _ in 0..self.copies() {
            let at = self.arrival(now, process, false);
            self.take_off(at, Flight::ToSeat(id, message.clone()));
        }
    }

    /// A message reaches a process, if there is one and it has room.
    fn land(&mut self, now: Us, id: u64, message: &Message) -> Option<ProcessId> {
        let seat = self.seats.get(&id)?;
        let link = &self.links[seat.process];
        if !link.alive {
            return None;
        }
        match link.line {
            Line::Up => seat.sender.try_send(message.clone()).ok().map(|()| seat.process),
            Line::Held => {
                let until = link.until.max(now) + self.weather.step_us;
                self.take_off(until, Flight::ToSeat(id, message.clone()));
                None
            }
            Line::Refusing | Line::Silent => None,
        }
    }

    /// How many of a message there are after a hop.
    fn copies(&mut self) -> usize {
        match () {
            () if self.rng.chance(self.weather.lost) => 0,
            () if self.rng.chance(self.weather.twice) => 2,
            () => 1,
        }
    }

    fn arrival(&mut self, now: Us, process: ProcessId, outward: bool) -> Us {
        let mut at = now + self.weather.step_us + self.rng.range(0, self.weather.jitter_us);
        if self.rng.chance(self.weather.spike) {
            at += self.rng.range(0, self.weather.spike_us);
        }
        let link = &mut self.links[process];
        let latest = if outward { &mut link.out_by } else { &mut link.in_by };
        if !self.weather.shuffled {
            at = at.max(*latest);
        }
        *latest = at.max(*latest);
        at
    }

    fn take_off(&mut self, at: Us, flight: Flight) {
        let number = self.number();
        self.flights.insert((at, number), flight);
    }
}

fn unavailable() -> BusError {
    BusError::Unavailable { at: "in the simulation".to_owned() }
}
