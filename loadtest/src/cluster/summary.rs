//! What a start prints in the end: where everything is, and calls to paste. Never prints a token. Pure.

use std::path::Path;

use super::certificates::{OPERATOR, SERVERS};
use super::demo::Demo;
use super::file::https;
use super::layout::Layout;
use super::plan::Plan;

/// The text.
pub fn text(layout: &Layout, plan: &Plan, demo: &Demo, ekmctl: &Path, loadtest: &Path) -> String {
    let root = quoted(layout.root());
    let pki = |name: &str| quoted(&layout.of_pki(name));
    let (loadtest, ekmctl) = (quoted(loadtest), quoted(ekmctl));
    let (data, admin) = (https(plan.balancer), https(plan.first().admin));
    format!(
        r#"
A cluster serves from {root}: sites a and b with three machines each, a witness, and HAProxy. For trying out only.

data     {data} (HAProxy)
admin    {admin} (a1)
key      {key}
logs     {logs}
all      {description}

Wrap with the demo key, and check a thousand round trips:

curl -sS -w '\n' --cacert {ca} -H "Authorization: Bearer $({loadtest} cluster token --dir {root})" -d '{{"plaintext":"aGVsbG8="}}' {data}/{key}:wrap
{loadtest} verify --dev {root}

Operate it:

unset EKM_DEV
export EKM_ADMIN_URL={admin} EKM_ADMIN_CA={ca} EKM_OPERATOR_CERT={certificate} EKM_OPERATOR_KEY={operator_key}
{ekmctl} cluster status

Stop it:

{loadtest} cluster stop --dir {root}"#,
        key = demo.key_path,
        logs = quoted(&layout.root().join("logs")),
        description = quoted(&layout.cluster()),
        ca = pki(SERVERS),
        certificate = pki(&OPERATOR.certificate()),
        operator_key = pki(&OPERATOR.key()),
    )
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+:@".contains(&byte));
    if is_plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::plan::{Kept, consecutive};

    #[test]
    fn calls_can_be_pasted_whatever_the_folder_is_called() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let odd = folder.path().join("it's here");
        std::fs::create_dir(&odd).expect("the folder is writable");
        let layout = Layout::of(&odd).expect("the folder is there");
        let ports = consecutive(21_000).expect("there are so many ports");
        let plan = Plan::new(&Kept { lineage: String::new(), ports }).expect("the ports differ");
        let demo = Demo { key_path: "v0/keys/k".to_owned(), crypto_space_path: String::new() };
        let text = text(&layout, &plan, &demo, Path::new("/b/ekmctl"), Path::new("/b/loadtest"));
        assert!(text.contains(r"it'\''s here'"), "{text}");
        assert!(text.contains("https://127.0.0.1:21000/v0/keys/k:wrap"), "{text}");
        assert!(text.contains("\n/b/ekmctl cluster status\n"), "{text}");
    }
}
