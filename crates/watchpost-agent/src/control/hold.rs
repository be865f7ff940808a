//! Sending no task for a moment, while a Runner leaves.

use std::sync::Arc;
use std::time::Duration;

use watchpost_bus::Message;
use watchpost_model::{ErrorCode, ErrorReply, HoldTasks, TasksHeld, V1, encode};

use super::ControlContext;
use super::answer::{error, format_of, read, send_answer};

/// How long the bus may take to confirm that everything has left. More, and whoever asks has given up.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

/// Holds the Checker's tasks until whoever asked says that it is over, is gone, or its time has come.
pub(super) async fn hold(cx: &ControlContext, message: &Message) -> Result<(), ErrorReply> {
    let format = format_of(message);
    let for_ms = read::<HoldTasks>(message, format)?.for_ms.unwrap_or(HoldTasks::FOR_MS_MAX);
    let to = message.reply.clone().ok_or_else(|| error(ErrorCode::BadPayload, "it names no subject for the answer"))?;
    let _one_of_few =
        cx.holds.try_acquire().map_err(|_| error(ErrorCode::TooOften, "tasks are held already: try again"))?;
    let bus = &cx.looked.bus;
    let away = |e: watchpost_bus::BusError| error(ErrorCode::Unavailable, e.to_string());
    let inbox = bus.new_inbox();
    let mut over = bus.subscribe(&inbox, None).await.map_err(away)?;
    // Whoever publishes a task waits for this.
    let _held = Arc::clone(&cx.looked.gate).lock_owned().await;
    bus.flush(FLUSH_LIMIT).await.map_err(away)?;
    let held = encode(&TasksHeld { v: V1, for_ms }, format);
    send_answer(&**bus, to, format, Ok(held), Some(inbox)).await;
    let _over = tokio::time::timeout(Duration::from_millis(for_ms.into()), over.next()).await;
    Ok(())
}
