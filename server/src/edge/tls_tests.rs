//! Loading what TLS is made of: every fault of a file has its own message, and nothing shows a key.

use super::*;
use crate::edge::testing::{Authority, Files, now};

#[test]
fn a_good_pair_loads_and_tells_its_end() {
    let issued = Authority::new("servers").issue("data", &["localhost"]);
    let tls = Files::new().tls(&issued, None);
    assert_eq!(tls.identity().chain(), issued.chain);
    let year_4000 = Timestamp(64_060_588_800_000);
    assert_eq!(tls.identity().not_after(), year_4000);
    let day_before = Timestamp(year_4000.0 - 86_400_000);
    assert!((tls.seconds_to_expiry(day_before) - 86_400.0).abs() < 1e-9);
    assert!((tls.seconds_to_expiry(Timestamp(year_4000.0 + 500)) + 0.5).abs() < 1e-9);
}

#[test]
fn each_fault_of_the_files_names_the_file_and_what_to_do() {
    let authority = Authority::new("servers");
    let good = authority.issue("data", &["localhost"]);
    let other = authority.issue("data", &["localhost"]);
    let old = authority.issue_until("data", &["localhost"], rcgen::date_time_ymd(2001, 2, 3));
    let files = Files::new();
    let certificate = files.write("good.pem", &good.chain_pem);
    let key = files.write("good.key", &good.key_pem);
    let absent = certificate.with_file_name("absent");
    let folder = certificate.parent().expect("a file is in a folder").to_owned();
    let garbled = "-----BEGIN CERTIFICATE-----\nnot base64!\n-----END CERTIFICATE-----\n";
    let no_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let huge = "x".repeat(usize::try_from(FILE_BYTES_MAX).expect("it fits in memory") + 1);
    let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let table = [
        (absent.clone(), key.clone(), "absent does not exist; create it or correct the path"),
        (certificate.clone(), absent, "absent does not exist; create it or correct the path"),
        (folder, key.clone(), "cannot be read; give the server's user permission"),
        (files.write("garbled.pem", garbled), key.clone(), "garbled.pem is not valid PEM"),
        (files.write("huge.pem", &huge), key.clone(), "huge.pem has more than 1048576 bytes; name the file"),
        (files.write("empty.pem", ""), key.clone(), "empty.pem holds no certificate"),
        (key.clone(), key.clone(), "good.key holds no certificate"),
        (files.write("noder.pem", no_der), key.clone(), "noder.pem holds a certificate that cannot be read"),
        (certificate.clone(), certificate.clone(), "good.pem holds no private key"),
        (certificate.clone(), files.write("bad.key", no_key), "bad.key holds a private key that cannot be used"),
        (certificate.clone(), files.write("other.key", &other.key_pem), "does not belong to the certificate"),
        (files.write("old.pem", &old.chain_pem), key.clone(), "old.pem expired on 2001-02-03; renew it"),
    ];
    for (certificate, key, expected) in table {
        let error = Identity::load(&certificate, &key, now()).expect_err("each row is faulty");
        assert!(error.to_string().contains(expected), "{error} should say: {expected}");
    }
    // the authority of the tests begins in 1975
    let too_early = Identity::load(&certificate, &key, Timestamp(1000)).expect_err("it is 1970");
    assert!(too_early.to_string().contains("good.pem is valid from 1975-01-01 0:00:00.0 +00:00:00 on"), "{too_early}");
}

#[test]
fn a_file_without_a_certificate_is_no_operator_authority() {
    let files = Files::new();
    let issued = Authority::new("servers").issue("admin", &["localhost"]);
    let (certificate, key) = (files.write("leaf.pem", &issued.chain_pem), files.write("leaf.key", &issued.key_pem));
    let empty = files.write("ca.pem", "");
    let refused = ServerTls::load(TlsFiles { certificate, key, client_authority: Some(empty.clone()) }, now()).err();
    assert!(matches!(refused, Some(TlsError::NoCertificate(file)) if file == empty));
}

#[test]
fn debug_output_shows_no_key() {
    let issued = Authority::new("servers").issue("data", &["localhost"]);
    let identity = Files::new().tls(&issued, None).identity();
    assert_eq!(format!("{identity:?}"), "Identity { not_after: Timestamp(64060588800000), .. }");
}
