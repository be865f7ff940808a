//! The contract of the bus, which both implementations pass, and what holds for NATS alone.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "bus/delivery.rs"]
mod delivery;
#[path = "bus/endings.rs"]
mod endings;
#[path = "bus/kv.rs"]
mod kv;
#[path = "bus/limits.rs"]
mod limits;
#[path = "bus/nats.rs"]
mod nats;
#[path = "bus/requests.rs"]
mod requests;
#[path = "bus/rig.rs"]
mod rig;
#[path = "bus/streams.rs"]
mod streams;

use delivery::*;
use endings::*;
use kv::*;
use limits::*;
use requests::*;
use rig::{Rig, bounded};

/// One test for each part of the contract and each implementation.
macro_rules! contract {
    ($($name:ident),+ $(,)?) => {
        mod in_process {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::bounded(super::$name(super::Rig::in_process())).await;
            })+
        }
        mod over_nats {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::bounded(async { super::$name(super::Rig::nats().await).await }).await;
            })+
        }
    };
}

contract! {
    contract_messages_arrive_in_order,
    contract_wildcards_match_tokens,
    contract_each_plain_subscription_gets_each_message,
    contract_a_queue_group_shares_each_message_once,
    contract_a_queue_group_is_known_by_its_name_alone,
    contract_reply_subject_and_headers_arrive,
    contract_a_request_is_answered,
    contract_a_request_that_nobody_hears_fails_at_once,
    contract_a_request_without_answer_fails_in_time,
    contract_a_request_collects_many_replies_until_its_limit,
    contract_many_replies_of_nobody_say_so,
    contract_a_publish_with_reply_learns_that_nobody_listens,
    contract_flush_returns_and_everything_has_left,
    contract_drain_yields_what_was_received_and_closes,
    contract_dropping_a_subscription_unsubscribes,
    contract_unsubscribing_keeps_what_was_received,
    contract_dropping_the_bus_ends_its_subscriptions,
    contract_a_slow_consumer_loses_the_newest_and_each_is_counted,
    contract_a_slow_consumer_does_not_hold_up_others,
    contract_a_payload_has_a_bound,
    contract_invalid_messages_are_refused_and_change_nothing,
    contract_inboxes_are_unique,
    contract_concurrent_publishers_lose_nothing,
    contract_calls_can_be_dropped_at_any_time,
}

/// The same for buckets, which take a server with JetStream.
macro_rules! kv_contract {
    ($($name:ident),+ $(,)?) => {
        mod kv_in_process {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::bounded(super::$name(super::Rig::in_process())).await;
            })+
        }
        mod kv_over_nats {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::bounded(async { super::$name(super::Rig::jetstream().await).await }).await;
            })+
        }
    };
}

kv_contract! {
    contract_kv_a_missing_bucket_is_told,
    contract_kv_revisions_count_up_and_guard_against_others,
    contract_kv_a_watch_yields_what_is_there_then_every_change,
    contract_kv_a_watch_of_many_keys_misses_none,
    contract_kv_what_is_too_large_or_misnamed_is_refused,
    contract_kv_a_closed_bus_has_no_buckets,
}
