//! What the command line gives, and what it refuses.

use clap::Parser as _;

use super::*;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    target: TargetArgs,
}

struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("rcgen makes a certificate");
        let description = r#"{"data_url": "https://127.0.0.1:40001", "audience": "https://localhost",
            "hostname": "localhost", "ca_file": "ca.pem", "token_file": "token", "key_path": "/v0/keys/abc",
            "caller_email": "demo@example.test"}"#;
        for (name, text) in [("dev.json", description), ("ca.pem", &own.cert.pem()), ("token", "a.b.c\n")] {
            fs::write(folder.path().join(name), text).expect("a fresh folder is writable");
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// A key to sign with, as `openssl genrsa` writes it: PKCS#8 in PEM.
    fn issuer_key(&self) -> String {
        use aws_lc_rs::encoding::AsDer as _;
        use base64::Engine as _;
        let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).expect("a key can be made");
        let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().expect("a key can be encoded");
        let body = base64::prelude::BASE64_STANDARD.encode(der.as_ref());
        let path = self.path("issuer.pem");
        fs::write(&path, format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"))
            .expect("a fresh folder is writable");
        path
    }

    async fn resolve(&self, args: &[&str]) -> Result<Target, TargetError> {
        let line = ["loadtest", "--dev", self.folder.path().to_str().expect("a temporary path is text")];
        let line = Line::try_parse_from(line.iter().chain(args)).expect("the arguments are known");
        line.target.resolve().await
    }
}

#[tokio::test]
async fn a_folder_gives_the_demo_key_and_the_token_file() {
    let target = Site::new().resolve(&[]).await.expect("the folder is complete");
    assert_eq!(target.keys.len(), 1);
    assert_eq!(
        (target.keys[0].wrap.path(), target.keys[0].unwrap.path()),
        ("/v0/keys/abc:wrap", "/v0/keys/abc:unwrap")
    );
    assert_eq!(
        (target.tokens.authorization(0).as_bytes(), target.host.as_bytes()),
        (&b"Bearer a.b.c"[..], &b"localhost:40001"[..])
    );
}

#[tokio::test]
async fn keys_with_callers_of_their_own_and_shared_ones_find_their_tokens() {
    let site = Site::new();
    let issuer = site.issuer_key();
    let target = site
        .resolve(&[
            "--issuer-key",
            &issuer,
            "--email",
            "one@example.test",
            "--email",
            "two@example.test",
            "--key-path",
            "v0/keys/a",
            "--key-path",
            "/v0/keys/b=three@example.test",
            "--key-path",
            "v0/keys/c=two@example.test",
        ])
        .await
        .expect("all is given");
    let callers: Vec<&[usize]> = target.keys.iter().map(|key| key.callers.as_slice()).collect();
    assert_eq!(callers, [&[0, 1][..], &[2], &[1]]);
    assert_ne!(target.tokens.authorization(0), target.tokens.authorization(2));
    let alone = site.resolve(&["--issuer-key", &issuer]).await.expect("the folder names a caller");
    assert_eq!(alone.keys[0].callers, [0]);
}

#[tokio::test]
async fn a_cluster_has_no_one_to_renew_its_token_so_tokens_are_signed_here() {
    let site = Site::new();
    site.issuer_key();
    let text = fs::read_to_string(site.path("dev.json")).expect("it was written");
    let more = r#"{"issuer": "https://ekm-cluster.invalid", "issuer_key_file": "issuer.pem", "#;
    fs::write(site.path("cluster.json"), text.replacen('{', more, 1)).expect("a fresh folder is writable");
    fs::remove_file(site.path("dev.json")).expect("it was written");
    let target = site.resolve(&[]).await.expect("the folder is complete");
    let header = target.tokens.authorization(0);
    let token = header.to_str().expect("a token is text").trim_start_matches("Bearer ");
    assert_eq!(issuer_of(token).as_deref(), Some("https://ekm-cluster.invalid"));
    let given = site.resolve(&["--token-file", &site.path("token")]).await.expect("a file may be named all the same");
    assert_eq!(given.tokens.authorization(0), "Bearer a.b.c");
}

#[tokio::test]
async fn what_is_missing_is_named_with_the_way_to_give_it() {
    let site = Site::new();
    let told = async |args: &[&str]| site.resolve(args).await.err().expect("something is missing").to_string();
    let caller = told(&["--key-path", "v0/keys/b=three@example.test"]).await;
    assert!(caller.contains("--issuer-key"), "{caller}");
    let unreadable = told(&["--ca", "/nonexistent/ca.pem"]).await;
    assert!(unreadable.contains("/nonexistent/ca.pem"), "{unreadable}");
    let no_key = told(&["--issuer-key", &site.path("token")]).await;
    assert!(no_key.contains("no private key"), "{no_key}");
}

#[test]
fn an_incomplete_command_line_is_refused() {
    let parse = |args: &[&str]| Line::try_parse_from(["loadtest"].iter().chain(args)).is_ok();
    assert!(!parse(&[]));
    assert!(!parse(&["--url", "https://a.example"]));
    assert!(!parse(&["--dev", ".", "--url", "https://a.example", "--ca", "x", "--key-path", "v0/keys/a"]));
    assert!(!parse(&["--dev", ".", "--email", "a@b.example"]));
    assert!(!parse(&["--dev", ".", "--token-lifetime", "7200"]));
    assert!(parse(&["--url", "https://a.example", "--ca", "x", "--key-path", "v0/keys/a", "--token-file", "t"]));
}

#[tokio::test]
async fn a_url_stands_for_the_folder() {
    let site = Site::new();
    let ca = site.path("ca.pem");
    let resolve = async |url: &str, more: &[&str]| {
        let line = ["loadtest", "--url", url, "--ca", &ca, "--key-path", "v0/keys/a"];
        Line::try_parse_from(line.iter().chain(more)).expect("the arguments are known").target.resolve().await
    };
    let token = site.path("token");
    let target = resolve("https://127.0.0.1:1", &["--token-file", &token, "--hostname", "localhost"]).await;
    assert_eq!(target.expect("all is given").host, "localhost:1");
    assert!(matches!(resolve("http://127.0.0.1:1", &["--token-file", &token]).await, Err(TargetError::Url { .. })));
    assert!(matches!(resolve("https://127.0.0.1:1", &[]).await, Err(TargetError::NoToken)));
    let nobody = resolve("https://127.0.0.1:1", &["--issuer-key", &site.issuer_key()]).await;
    assert!(matches!(nobody, Err(TargetError::NoCaller { .. })));
}

#[test]
fn a_key_argument_is_a_path_and_perhaps_a_caller() {
    let key: KeyArg = "/v0/keys/a=b@c.example".parse().expect("a right argument");
    assert_eq!((key.path.as_str(), key.email.as_deref()), ("v0/keys/a", Some("b@c.example")));
    for bad in ["", "/", "v0/keys/a b", "v0/keys/a=nobody"] {
        assert!(bad.parse::<KeyArg>().is_err(), "{bad}");
    }
}
