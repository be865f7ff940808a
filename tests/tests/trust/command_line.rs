//! Signing and applying from the command line.

use std::process::Stdio;

use serde_json::Value;
use watchpost_model::{CheckDocument, Format, decode};
use watchpost_tests::process::{SOON, binary};

use crate::rig::{Rig, told};

struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

async fn run(rig: &Rig, args: &[&str]) -> Ran {
    let mut command = tokio::process::Command::new(binary());
    command.args(args).current_dir(rig.server.folder()).env_clear().env("WATCHPOST_BUS", rig.server.url());
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(SOON, command.output()).await.expect("it ends").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_are_signed_verified_applied_and_tested_with_a_key_of_ones_own() {
    let mut rig = Rig::start().await;
    let made = run(&rig, &["checks", "keygen", "seed"]).await;
    assert_eq!(made.code, 0, "{}", made.stderr);
    let again = run(&rig, &["checks", "keygen", "seed"]).await;
    assert_eq!(again.code, 2, "a seed is never written over");
    let seed = std::fs::read_to_string(rig.server.folder().join("seed")).unwrap();
    rig.signer = watchpost_trust::Signer::from_seed(&seed).unwrap();
    assert_eq!(made.stdout.trim(), rig.signer.key().as_str());
    let _bastion = rig.bastion("", "").await;

    let yaml = format!("id: web\ntcp: {{address: '{}'}}\ninterval: 1s\n", rig.target.address());
    let write = |name: &str, text: &str| std::fs::write(rig.server.folder().join(name), text).unwrap();
    write("web.yaml", &yaml);
    let unsigned = run(&rig, &["checks", "apply", "-g", "site", "-f", "web.yaml"]).await;
    assert_eq!(unsigned.code, 1);
    assert!(unsigned.stdout.contains("is not signed") && unsigned.stderr.contains("nothing was written"));

    let apply = ["checks", "apply", "-g", "site", "-f", "web.yaml", "--sign", "seed", "-o", "ndjson"];
    let changes = async || {
        let ran = run(&rig, &apply).await;
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        serde_json::from_str::<Value>(&ran.stdout).unwrap()["change"].clone()
    };
    assert_eq!(changes().await, "created");
    assert_eq!(told(&rig.result_of("web").await), "pass");
    assert_eq!(changes().await, "unchanged", "what is signed already is left as it is");
    write("web.yaml", &yaml.replace("1s", "2s"));
    assert_eq!(changes().await, "changed");

    let signed = run(&rig, &["checks", "sign", "-k", "seed", "-g", "site", "-f", "web.yaml"]).await;
    assert_eq!(signed.code, 0, "{}", signed.stderr);
    write("signed.yaml", &signed.stdout);
    assert_eq!(
        run(&rig, &["checks", "verify", "-f", "signed.yaml", "--signer", rig.signer.key().as_str()]).await.code,
        0
    );
    let elsewhere = run(&rig, &["checks", "verify", "-f", "signed.yaml", "-g", "elsewhere"]).await;
    assert!(elsewhere.code == 1 && elsewhere.stdout.contains("a signature is for one group"), "{}", elsewhere.stdout);
    write("altered.yaml", &signed.stdout.replace("2s", "3s"));
    let altered = run(&rig, &["checks", "verify", "-f", "altered.yaml", "-o", "ndjson"]).await;
    let object: Value = serde_json::from_str(&altered.stdout).unwrap();
    assert_eq!((altered.code, &object["good"]), (1, &Value::Bool(false)), "{object}");
    // What was signed elsewhere is applied as it is.
    let applied = run(&rig, &["checks", "apply", "-g", "site", "-f", "signed.yaml"]).await;
    assert_eq!(applied.code, 0, "{}{}", applied.stdout, applied.stderr);

    let paused = run(&rig, &["checks", "pause", "web", "-g", "site"]).await;
    assert!(paused.code == 1 && paused.stderr.contains("--sign"), "{}", paused.stderr);
    write("other.yaml", &yaml.replace("web", "other"));
    let test = ["checks", "test", "-f", "other.yaml", "-b", "site"];
    let refused = run(&rig, &test).await;
    assert!(refused.code != 0 && refused.stderr.contains("is not signed"), "{}", refused.stderr);
    let tested = run(&rig, &[&test[..], &["--sign", "seed"]].concat()).await;
    assert_eq!(tested.code, 0, "{}{}", tested.stdout, tested.stderr);
    let every = [made, signed, applied, tested].map(|ran| ran.stdout + &ran.stderr).concat();
    assert!(!every.contains(seed.trim()), "a seed is shown to nobody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_holds_the_bus_does_not_choose_the_revision_of_what_is_signed() {
    const LAST: u64 = (1 << 53) - 2;
    let rig = Rig::start().await;
    std::fs::write(rig.server.folder().join("seed"), rig.signer.seed().unwrap()).unwrap();
    std::fs::write(
        rig.server.folder().join("web.yaml"),
        format!("id: web\ntcp: {{address: '{}'}}\ninterval: 1s\n", rig.target.address()),
    )
    .unwrap();
    let thief = watchpost_trust::Signer::generate().unwrap();
    let good = rig.signed(rig.check_of("web", &rig.victim, ""), "site", 1);
    let mut forged = good.clone();
    forged.signature.as_mut().unwrap().revision = LAST;
    for planted in [rig.signed_by(&thief, rig.check("web"), "site", LAST), forged] {
        rig.put("site.web", &planted).await;
        let applied = run(&rig, &["checks", "apply", "-g", "site", "-f", "web.yaml", "--sign", "seed"]).await;
        assert_eq!(applied.code, 0, "{}{}", applied.stdout, applied.stderr);
        let stored = rig.kv.get("site.web").await.unwrap().unwrap().value.unwrap();
        let stored: CheckDocument = decode(&stored, Format::detect(None, &stored)).unwrap();
        let signature = stored.signature.unwrap();
        assert_eq!(&signature.by, rig.signer.key());
        assert!(signature.revision < LAST, "nobody could sign a later one");
    }
}
