//! Loading identities: every fault of a file has its own message, and a renewed certificate is presented at once.

use super::*;
use crate::edge::testing::{Authority, Files, now};

#[test]
fn a_good_pair_loads_and_tells_its_end() {
    let issued = Authority::new("servers").issue("data", &["localhost"]);
    let identity = Files::new().identity(&issued);
    assert_eq!(identity.chain(), issued.chain);
    let year_4000 = Timestamp(64_060_588_800_000);
    assert_eq!(identity.not_after(), year_4000);
    let tls = ServerTls::data(identity);
    let day_before = Timestamp(year_4000.0 - 86_400_000);
    assert!((tls.days_to_expiry(day_before) - 1.0).abs() < 1e-9);
    assert!((tls.days_to_expiry(Timestamp(year_4000.0 + 43_200_000)) + 0.5).abs() < 1e-9);
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
    let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let table = [
        (absent.clone(), key.clone(), "absent does not exist; create it or correct the path"),
        (certificate.clone(), absent, "absent does not exist; create it or correct the path"),
        (folder, key.clone(), "cannot be read; give the server's user permission"),
        (files.write("garbled.pem", garbled), key.clone(), "garbled.pem is not valid PEM"),
        (files.write("empty.pem", ""), key.clone(), "empty.pem holds no certificate"),
        (key.clone(), key.clone(), "good.key holds no certificate"),
        (files.write("noder.pem", no_der), key.clone(), "noder.pem holds a certificate that cannot be read"),
        (certificate.clone(), certificate.clone(), "good.pem holds no private key"),
        (certificate.clone(), files.write("bad.key", no_key), "bad.key holds a private key that cannot be used"),
        (certificate.clone(), files.write("other.key", &other.key_pem), "does not belong to the certificate"),
        (files.write("old.pem", &old.chain_pem), key, "old.pem expired on 2001-02-03; renew it"),
    ];
    for (certificate, key, expected) in table {
        let error = Identity::load(&certificate, &key, now()).expect_err("each row is faulty");
        assert!(error.to_string().contains(expected), "{error} should say: {expected}");
    }
}

#[test]
fn a_file_without_a_certificate_is_no_operator_authority() {
    let files = Files::new();
    let identity = files.identity(&Authority::new("servers").issue("admin", &["localhost"]));
    let empty = files.write("ca.pem", "");
    let refused = ServerTls::admin(identity, &empty).err();
    assert!(matches!(refused, Some(TlsError::NoCertificate(file)) if file == empty));
}

#[test]
fn debug_output_shows_no_key() {
    let issued = Authority::new("servers").issue("data", &["localhost"]);
    let identity = Files::new().identity(&issued);
    assert_eq!(format!("{identity:?}"), "Identity { not_after: Timestamp(64060588800000), .. }");
}
