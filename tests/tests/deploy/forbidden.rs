//! Everything that a role may not do, tried; and beside it what it may.

use crate::attempts::Try::{self, Publish, Queue, Subscribe};
use crate::attempts::{permitted, refused};
use crate::rig::Rig;

const USERS: [&str; 7] = [
    "bastion:site-1,eu",
    "bastion:site-3",
    "checker:site-2/site-2-checker",
    "runner:site-2/site-2-runner",
    "operator:ann",
    "viewer:wall",
    "jobs:site-1/site-1-jobs",
];

/// What is refused, by user.
const FORBIDDEN: &[(&str, &[Try])] = &[
    (
        "site-1",
        &[
            // in the name of another bastion
            Publish("watchpost.site-3.result.web"),
            Publish("watchpost.site-3.verdict.web"),
            Publish("watchpost.site-3.event.web"),
            Publish("watchpost.site-3.heartbeat"),
            Publish("watchpost.site-3.task.http"),
            Publish("watchpost.site-3.task.exec"),
            Publish("watchpost.site-3.beat.job"),
            Publish("watchpost.site-3.control.bastion.drain"),
            Publish("watchpost.site-3.control.check.put"),
            Publish("watchpost.site-3.control.task.cancel"),
            Publish("other.site-1.result.web"),
            Publish("watchpost.site-1.result"),
            Publish("watchpost.site-1.result.web.more"),
            // what others ask of it
            Publish("watchpost.site-1.control.check.put"),
            Publish("watchpost.site-1.control.bastion.drain"),
            Publish("watchpost.site-1.beat.job"),
            // the checks: it reads its own groups', and writes none
            Publish("$KV.WATCHPOST_CHECKS.site-1.web"),
            Publish("$KV.WATCHPOST_CHECKS.site-3.web"),
            Publish("$JS.API.STREAM.MSG.GET.KV_WATCHPOST_CHECKS"),
            Publish("$JS.API.STREAM.MSG.DELETE.KV_WATCHPOST_CHECKS"),
            Publish("$JS.API.DIRECT.GET.KV_WATCHPOST_CHECKS"),
            Publish("$JS.API.DIRECT.GET.KV_WATCHPOST_CHECKS.$KV.WATCHPOST_CHECKS.site-3.web"),
            Publish("$JS.API.CONSUMER.CREATE.KV_WATCHPOST_CHECKS"),
            Publish("$JS.API.CONSUMER.CREATE.KV_WATCHPOST_CHECKS.spy"),
            Publish("$JS.API.CONSUMER.CREATE.KV_WATCHPOST_CHECKS.spy.$KV.WATCHPOST_CHECKS.site-3.web"),
            Publish("$JS.API.CONSUMER.CREATE.KV_WATCHPOST_CHECKS.spy.$KV.WATCHPOST_CHECKS.us.web"),
            Publish("$JS.API.CONSUMER.DURABLE.CREATE.KV_WATCHPOST_CHECKS.spy"),
            Publish("$JS.API.CONSUMER.DELETE.KV_WATCHPOST_CHECKS.other"),
            Publish("$JS.API.CONSUMER.LIST.KV_WATCHPOST_CHECKS"),
            // streams
            Publish("$JS.API.INFO"),
            Publish("$JS.API.STREAM.NAMES"),
            Publish("$JS.API.STREAM.LIST"),
            Publish("$JS.API.STREAM.CREATE.MINE"),
            Publish("$JS.API.STREAM.CREATE.WATCHPOST_RESULTS"),
            Publish("$JS.API.STREAM.UPDATE.WATCHPOST_RESULTS"),
            Publish("$JS.API.STREAM.DELETE.KV_WATCHPOST_CHECKS"),
            Publish("$JS.API.STREAM.PURGE.WATCHPOST_RESULTS"),
            Publish("$JS.API.STREAM.SNAPSHOT.KV_WATCHPOST_CHECKS"),
            Publish("$JS.API.STREAM.RESTORE.KV_WATCHPOST_CHECKS"),
            Publish("$JS.API.STREAM.INFO.WATCHPOST_RESULTS"),
            Publish("$JS.API.CONSUMER.CREATE.WATCHPOST_RESULTS"),
            Publish("$JS.API.CONSUMER.MSG.NEXT.WATCHPOST_RESULTS.other"),
            Publish("$JS.API.META.LEADER.STEPDOWN"),
            // the server, others' inboxes, anything
            Publish("$SYS.REQ.SERVER.PING"),
            Publish("$SYS.REQ.USER.INFO"),
            Publish("$SYS.REQ.ACCOUNT.PING.CONNZ"),
            Publish("$SRV.PING"),
            Publish("_INBOX_ann.x"),
            Publish("_INBOX_site-3.x"),
            Publish("_INBOX.x"),
            Publish("anything"),
            Subscribe(">", "watchpost.site-3.result.web"),
            Subscribe("*.>", "watchpost.site-3.result.web"),
            Subscribe("watchpost.>", "watchpost.site-3.result.web"),
            Subscribe("watchpost.*.result.*", "watchpost.site-3.result.web"),
            Subscribe("watchpost.site-3.result.*", "watchpost.site-3.result.web"),
            Subscribe("watchpost.site-3.heartbeat", "watchpost.site-3.heartbeat"),
            Subscribe("watchpost.site-3.control.>", "watchpost.site-3.control.check.put"),
            Subscribe("watchpost.*.control.>", "watchpost.site-3.control.check.put"),
            Queue("watchpost.site-3.task.*", "runners", "watchpost.site-3.task.http"),
            Queue("watchpost.*.task.*", "runners", "watchpost.site-3.task.http"),
            // beside its Runners, where each of them would miss nothing and somebody else see all
            Subscribe("watchpost.site-1.task.http", "watchpost.site-1.task.http"),
            Queue("watchpost.site-1.task.http", "others", "watchpost.site-1.task.http"),
            Subscribe("$KV.>", "$KV.WATCHPOST_CHECKS.site-3.web"),
            Subscribe("$KV.WATCHPOST_CHECKS.site-1.>", "$KV.WATCHPOST_CHECKS.site-1.web"),
            Subscribe("$JS.>", "$JS.EVENT.ADVISORY.x"),
            Subscribe("$SYS.>", "$SYS.x"),
            Subscribe("_INBOX.>", "_INBOX.x"),
            Subscribe("_INBOX_ann.>", "_INBOX_ann.x"),
            Subscribe("_INBOX_site-3.*", "_INBOX_site-3.x"),
        ],
    ),
    (
        "site-2-runner",
        &[
            Publish("watchpost.site-2.task.http"),
            Publish("watchpost.site-2.verdict.web"),
            Publish("watchpost.site-2.event.web"),
            Publish("watchpost.site-2.beat.job"),
            Publish("watchpost.site-2.control.task.cancel"),
            Publish("watchpost.site-2.control.check.put"),
            Publish("watchpost.site-1.result.web"),
            Publish("$KV.WATCHPOST_CHECKS.site-2.web"),
            Publish("$JS.API.STREAM.INFO.KV_WATCHPOST_CHECKS"),
            Publish("$JS.API.CONSUMER.CREATE.KV_WATCHPOST_CHECKS.spy.$KV.WATCHPOST_CHECKS.site-2.web"),
            Publish("_INBOX_site-2-checker.x"),
            Subscribe("watchpost.site-2.result.*", "watchpost.site-2.result.web"),
            Subscribe("watchpost.site-2.beat.*", "watchpost.site-2.beat.job"),
            Subscribe("watchpost.site-2.control.>", "watchpost.site-2.control.check.put"),
            Subscribe("watchpost.site-2.control.check.put", "watchpost.site-2.control.check.put"),
            Subscribe("watchpost.site-2.task.*", "watchpost.site-2.task.http"),
            Queue("watchpost.site-1.task.*", "runners", "watchpost.site-1.task.http"),
            Subscribe("_INBOX_site-2-checker.>", "_INBOX_site-2-checker.x"),
        ],
    ),
    (
        "site-2-checker",
        &[
            Publish("watchpost.site-1.task.http"),
            Publish("watchpost.site-2.control.task.hold"),
            Publish("watchpost.site-2.control.check.put"),
            Publish("watchpost.site-2.beat.job"),
            Publish("$KV.WATCHPOST_CHECKS.site-2.web"),
            Publish("$JS.API.CONSUMER.CREATE.KV_WATCHPOST_CHECKS.spy.$KV.WATCHPOST_CHECKS.site-1.web"),
            Queue("watchpost.site-2.task.*", "runners", "watchpost.site-2.task.http"),
            Subscribe("watchpost.site-1.result.*", "watchpost.site-1.result.web"),
            Subscribe("_INBOX_site-2-runner.>", "_INBOX_site-2-runner.x"),
        ],
    ),
    (
        "wall",
        &[
            Publish("watchpost.site-1.control.check.put"),
            Publish("watchpost.site-1.control.check.delete"),
            Publish("watchpost.site-1.control.check.pause"),
            Publish("watchpost.site-1.control.check.test"),
            Publish("watchpost.site-1.control.task.cancel"),
            Publish("watchpost.site-1.control.task.hold"),
            Publish("watchpost.site-1.control.pool.resize"),
            Publish("watchpost.site-1.control.bastion.drain"),
            Publish("watchpost.site-1.control.bastion.log_level"),
            Publish("watchpost.site-1.task.http"),
            Publish("watchpost.site-1.result.web"),
            Publish("watchpost.site-1.beat.job"),
            Publish("$KV.WATCHPOST_CHECKS.site-1.web"),
            Publish("$JS.API.STREAM.CREATE.MINE"),
            Publish("$JS.API.STREAM.PURGE.WATCHPOST_RESULTS"),
            Publish("$JS.API.STREAM.DELETE.WATCHPOST_RESULTS"),
            Publish("$JS.API.STREAM.MSG.GET.KV_WATCHPOST_CHECKS"),
            Publish("$JS.API.DIRECT.GET.WATCHPOST_RESULTS"),
            Publish("_INBOX_site-1.x"),
            Subscribe("watchpost.*.task.*", "watchpost.site-1.task.http"),
            Subscribe("watchpost.*.control.>", "watchpost.site-1.control.check.put"),
            Subscribe("watchpost.>", "watchpost.site-1.task.http"),
            Subscribe("_INBOX_site-1.>", "_INBOX_site-1.x"),
            Subscribe("$SYS.>", "$SYS.x"),
        ],
    ),
    (
        "ann",
        &[
            Publish("watchpost.site-1.task.exec"),
            Publish("watchpost.site-1.result.web"),
            Publish("watchpost.site-1.heartbeat"),
            Publish("watchpost.site-1.beat.job"),
            Publish("$JS.API.STREAM.CREATE.MINE"),
            Publish("$JS.API.STREAM.DELETE.KV_WATCHPOST_CHECKS"),
            Publish("$JS.API.STREAM.PURGE.WATCHPOST_RESULTS"),
            Publish("$JS.API.STREAM.MSG.DELETE.WATCHPOST_RESULTS"),
            Publish("$JS.API.CONSUMER.DURABLE.CREATE.WATCHPOST_RESULTS.mine"),
            Publish("$SYS.REQ.SERVER.PING"),
            Publish("_INBOX_site-1.x"),
            Subscribe("watchpost.*.task.*", "watchpost.site-1.task.http"),
            Subscribe("watchpost.*.control.>", "watchpost.site-1.control.check.put"),
            Subscribe("_INBOX_site-1.>", "_INBOX_site-1.x"),
            Subscribe(">", "watchpost.site-1.task.http"),
        ],
    ),
    (
        "site-1-jobs",
        &[
            Publish("watchpost.site-3.beat.job"),
            Publish("watchpost.site-1.result.job"),
            Publish("watchpost.site-1.control.check.put"),
            Publish("$KV.WATCHPOST_CHECKS.site-1.web"),
            Publish("$JS.API.STREAM.NAMES"),
            Subscribe("watchpost.site-1.result.*", "watchpost.site-1.result.web"),
            Subscribe("watchpost.site-1.beat.*", "watchpost.site-1.beat.job"),
        ],
    ),
];

/// What is permitted: the tries above fail for what they try, and not for how.
const PERMITTED: &[(&str, &[Try])] = &[
    (
        "site-1",
        &[
            Publish("watchpost.site-1.result.web"),
            Publish("watchpost.site-1.verdict.web"),
            Publish("watchpost.site-1.event.web"),
            Publish("watchpost.site-1.heartbeat"),
            Publish("watchpost.site-1.task.http"),
            Publish("watchpost.site-1.control.task.cancel"),
            Publish("$JS.API.CONSUMER.CREATE.KV_WATCHPOST_CHECKS.own.$KV.WATCHPOST_CHECKS.site-1.web"),
            Publish("$JS.API.CONSUMER.CREATE.KV_WATCHPOST_CHECKS.own.$KV.WATCHPOST_CHECKS.eu.web"),
            Queue("watchpost.site-1.task.http", "runners", "watchpost.site-1.task.http"),
            Subscribe("watchpost.site-1.control.>", "watchpost.site-1.control.check.put"),
            Subscribe("watchpost.site-1.result.*", "watchpost.site-1.result.web"),
        ],
    ),
    (
        "site-2-runner",
        &[
            Publish("watchpost.site-2.result.web"),
            Queue("watchpost.site-2.task.http", "runners", "watchpost.site-2.task.http"),
            Subscribe("watchpost.site-2.control.bastion.drain", "watchpost.site-2.control.bastion.drain"),
        ],
    ),
    (
        "site-2-checker",
        &[Publish("watchpost.site-2.task.http"), Subscribe("watchpost.site-2.result.*", "watchpost.site-2.result.web")],
    ),
    (
        "wall",
        &[
            Publish("watchpost.site-1.control.bastion.status"),
            Subscribe("watchpost.*.result.*", "watchpost.site-1.result.web"),
        ],
    ),
    (
        "ann",
        &[
            Publish("watchpost.site-1.control.check.put"),
            Publish("$KV.WATCHPOST_CHECKS.site-1.web"),
            Subscribe("watchpost.*.event.*", "watchpost.site-1.event.web"),
        ],
    ),
    ("site-1-jobs", &[Publish("watchpost.site-1.beat.job")]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guarantee_8_what_a_role_may_not_do_is_refused_by_the_server_and_reaches_nobody() {
    let rig = Rig::small(&USERS);
    let mut wrong = Vec::new();
    let mut tried = 0;
    for (user, tries) in FORBIDDEN {
        for what in *tries {
            tried += 1;
            wrong.extend(refused(&rig, "", user, *what).await.err());
        }
    }
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(tried >= 60, "{tried}");
    // The server's own log has each of them.
    assert!(rig.violations().len() >= tried, "{} of {tried}", rig.violations().len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_role_is_for_is_permitted() {
    let rig = Rig::small(&USERS);
    let mut wrong = Vec::new();
    for (user, tries) in PERMITTED {
        for what in *tries {
            wrong.extend(permitted(&rig, "", user, *what).await.err());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // `jobs` may not publish to its own inbox, as others do to say that they are done.
    let violations: Vec<_> =
        rig.violations().into_iter().filter(|line| !line.contains("_INBOX_site-1-jobs.end")).collect();
    assert!(violations.is_empty(), "{violations:#?}");
}
