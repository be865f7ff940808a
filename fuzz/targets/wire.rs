//! Messages from the bus, in both formats. What is read can be written, and reads back as the same.

#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use watchpost_model::{
    AskLast, AskStatus, Beat, CancelTasks, CheckDocument, CheckEvent, DeleteCheck, Drain, Format, GetCheck, Heartbeat,
    HoldTasks, ListChecks, Message, PauseCheck, PutCheck, ResizePool, RunVerdict, SetLogLevel, Task, TaskResult, TestCheck,
    decode, encode,
};

fn read<M: Message + PartialEq + Debug>(payload: &[u8]) {
    for format in [Format::MsgPack, Format::Json] {
        match decode::<M>(payload, format) {
            Ok(message) => {
                for format in [Format::MsgPack, Format::Json] {
                    let again = decode::<M>(&encode(&message, format), format);
                    assert_eq!(again.as_ref(), Ok(&message), "{} through {format:?}", M::NAME);
                }
            }
            Err(error) => assert!(error.to_string().len() < 2_000, "{error}"),
        }
    }
}

fuzz_target!(|payload: &[u8]| {
    let Some((which, payload)) = payload.split_first() else { return };
    match which % 20 {
        0 | 1 => read::<Task>(payload),
        2 | 3 => read::<CheckDocument>(payload),
        4 => read::<TaskResult>(payload),
        5 => read::<RunVerdict>(payload),
        6 => read::<Heartbeat>(payload),
        7 => read::<CheckEvent>(payload),
        8 => read::<Beat>(payload),
        9 => read::<PutCheck>(payload),
        10 => read::<GetCheck>(payload),
        11 => read::<ListChecks>(payload),
        12 => read::<DeleteCheck>(payload),
        13 => read::<PauseCheck>(payload),
        14 => read::<TestCheck>(payload),
        15 => read::<AskLast>(payload),
        16 => read::<CancelTasks>(payload),
        17 => read::<HoldTasks>(payload),
        18 => read::<ResizePool>(payload),
        _ => {
            read::<SetLogLevel>(payload);
            read::<Drain>(payload);
            read::<AskStatus>(payload);
        }
    }
});
