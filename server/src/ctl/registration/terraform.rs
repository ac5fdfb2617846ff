//! The registration as Terraform, for the `google` provider. Pure.

use super::{CERTIFICATE, Filled, SERVICE};

pub(super) fn external_vpc(path: &str, place: &Filled<'_>) -> String {
    let connection = format!(
        r#"resource "google_kms_ekm_connection" "ekm" {{
  project             = {project}
  name                = {name}
  location            = {location}
  key_management_mode = "MANUAL"
  service_resolvers {{
    service_directory_service = "{SERVICE}"
    hostname                  = {hostname}
    server_certificates {{
      raw_der = filebase64("{CERTIFICATE}.der")
    }}
  }}
}}
"#,
        project = string(place.project),
        name = string(place.ekm_connection),
        location = string(place.location),
        hostname = string(place.hostname),
    );
    let backend = "  crypto_key_backend            = google_kms_ekm_connection.ekm.id\n";
    let version = version("ekm_connection_key_path", path);
    format!("{connection}\n{}\n{}\n{version}", key_ring(place), key(place, "EXTERNAL_VPC", backend))
}

pub(super) fn external(path: &str, place: &Filled<'_>) -> String {
    let version = version("external_key_uri", &format!("https://{}/{path}", place.hostname));
    format!("{}\n{}\n{version}", key_ring(place), key(place, "EXTERNAL", ""))
}

fn key_ring(place: &Filled<'_>) -> String {
    format!(
        "resource \"google_kms_key_ring\" \"ring\" {{\n  project  = {}\n  name     = {}\n  location = {}\n}}\n",
        string(place.project),
        string(place.key_ring),
        string(place.location),
    )
}

fn key(place: &Filled<'_>, protection: &str, more: &str) -> String {
    format!(
        r#"resource "google_kms_crypto_key" "key" {{
  name                          = {name}
  key_ring                      = google_kms_key_ring.ring.id
  purpose                       = "ENCRYPT_DECRYPT"
  skip_initial_version_creation = true
{more}  version_template {{
    algorithm        = "EXTERNAL_SYMMETRIC_ENCRYPTION"
    protection_level = "{protection}"
  }}
}}
"#,
        name = string(place.crypto_key),
    )
}

fn version(field: &str, value: &str) -> String {
    format!(
        r#"resource "google_kms_crypto_key_version" "version" {{
  crypto_key = google_kms_crypto_key.key.id
  external_protection_level_options {{
    {field} = {}
  }}
}}
"#,
        string(value),
    )
}

/// A string of HCL, in which `${{` and `%{{` begin a template.
fn string(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace("${", "$${").replace("%{", "%%{");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_breaks_out_of_its_string() {
        for (text, written) in [("a", r#""a""#), (r#"a"b"#, r#""a\"b""#), ("${x}", r#""$${x}""#), (r"a\", r#""a\\""#)] {
            assert_eq!(string(text), written);
        }
    }
}
