//! `ekmctl doctor` where something is broken: it says what, whom it hurts and what to do, and never fails for want of a cluster.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::harness::{Dev, Ended, ekmctl, finish, temporary};

/// What it found, by what is wrong.
fn found(ended: &Ended) -> Vec<String> {
    let body: Value =
        serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {} {}", ended.out, ended.err));
    let findings = body["findings"].as_array().expect("findings are a list").clone();
    for finding in &findings {
        for part in ["what", "hurts", "todo"] {
            assert!(finding[part].as_str().is_some_and(|text| text.len() > 10), "{finding}");
        }
    }
    findings.iter().map(|finding| finding["what"].as_str().expect("a text").to_owned()).collect()
}

async fn doctor(folder: &Path) -> Ended {
    ekmctl(folder, &["doctor", "--output", "json"]).await
}

/// The four parts by themselves.
async fn doctor_at(url: &str, authority: &Dev, person: &Dev) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ekmctl"));
    command.arg("--url").arg(url).arg("--ca").arg(&authority.file.ca_file);
    command.arg("--cert").arg(&person.file.operator_cert_file).arg("--cert-key").arg(&person.file.operator_key_file);
    finish(command.args(["doctor", "--output", "json"])).await
}

#[tokio::test(flavor = "multi_thread")]
async fn it_names_what_is_wrong_on_the_way_to_the_admin_api() {
    let (ours, theirs) = (temporary(), temporary());
    let (ours, theirs) = (Dev::start(ours.path()).await, Dev::start(theirs.path()).await);
    let well = doctor(&ours.folder).await;
    assert_eq!(well.code, Some(0), "{}", well.out);
    let url = ours.file.admin_url.as_str();
    let plain = ours.file.health_url.replace("http://", "https://");
    let table = [
        (doctor_at(url, &theirs, &ours).await, "the given authority did not sign"),
        // the alert that says why may be lost with the connection
        (doctor_at(url, &ours, &theirs).await, "for this cluster"),
        (doctor_at("https://localhost:1", &ours, &ours).await, "refuses connections"),
        (doctor_at("https://nowhere.invalid:8444", &ours, &ours).await, "nowhere.invalid has no address"),
        (doctor_at(&ours.file.data_url, &ours, &ours).await, "is no admin API"),
        (doctor_at(&plain, &ours, &ours).await, "does not speak TLS"),
    ];
    for (ended, said) in table {
        assert_eq!(ended.code, Some(1), "{said}: {}", ended.err);
        assert_ne!(found(&ended), [""; 0], "{said}");
        assert!(ended.out.contains(said), "{said}: {}", ended.out);
    }
    ours.stop().await;
    theirs.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_works_when_nothing_runs() {
    let folder = temporary();
    let dev = Dev::start(folder.path()).await;
    let pid = dev.process.pid();
    dev.stop().await;
    let ended = doctor(folder.path()).await;
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    let all = found(&ended);
    for said in [format!("process {pid}"), "refuses connections".to_owned(), "health listener".to_owned()] {
        assert!(all.iter().any(|what| what.contains(&said)), "{said}: {all:?}");
    }
    let text = ekmctl(folder.path(), &["doctor"]).await.out;
    assert!(
        text.contains("hurts") && text.contains("start it again") && text.contains("something is broken"),
        "{text}"
    );
    let nowhere = doctor(&folder.path().join("none")).await;
    assert_eq!(nowhere.code, Some(1), "{}", nowhere.err);
    assert!(found(&nowhere).iter().any(|what| what.contains("dev.json")), "{}", nowhere.out);
}
