//! What an operator types at Google to register a key path: as `EXTERNAL_VPC` (through a connection into a private network) and as
//! EXTERNAL (over the internet).
//!
//! Pure. The flags and fields are those of Google's reference pages: `gcloud kms ekm-connections create`, `gcloud kms keys create`,
//! `gcloud kms keys versions create`, and the Terraform resources `google_kms_ekm_connection`, `google_kms_crypto_key` and
//! `google_kms_crypto_key_version`. What is not known yet stands as a word in capitals. Must never print lines that Google refuses.

mod gcloud;
mod location;
mod terraform;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use location::LocationError;

/// Where at Google a key path is to be registered; what is absent is printed as a word in capitals.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The project's id.
    pub project: Option<String>,
    /// A region such as `europe-west3`; for EXTERNAL also a multi-region.
    pub location: Option<String>,
    /// The key ring.
    pub key_ring: Option<String>,
    /// The Cloud KMS key.
    pub crypto_key: Option<String>,
    /// The EKM connection, for `EXTERNAL_VPC`.
    pub ekm_connection: Option<String>,
    /// The host name that the frontends' certificate names.
    pub hostname: Option<String>,
}

/// How Cloud KMS reaches the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Protection {
    /// Through an EKM connection into a private network.
    ExternalVpc,
    /// Over the internet.
    External,
}

/// The lines that register one key path in one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Registration {
    /// Shell commands, in their order.
    pub gcloud: Vec<String>,
    /// Terraform, HCL.
    pub terraform: String,
}

/// Both ways; one that was not asked for is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Registrations {
    /// For `EXTERNAL_VPC`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_vpc: Option<Registration>,
    /// For EXTERNAL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<Registration>,
    /// Words in capitals that stand in the lines for what was not said.
    pub fill_in: Vec<String>,
}

/// What stands for the number of the Cloud KMS key's project.
const PROJECT_NUMBER: &str = "PROJECT_NUMBER";

/// The caller that a grant must name: Google's service agent of the project that holds the Cloud KMS key.
pub fn caller(project_number: Option<u64>) -> String {
    let number = project_number.map_or_else(|| PROJECT_NUMBER.to_owned(), |number| number.to_string());
    format!("service-{number}@gcp-sa-ekms.iam.gserviceaccount.com")
}

/// The lines for a key version's path, without a leading slash.
///
/// # Errors
/// [`LocationError`] if `EXTERNAL_VPC` is asked for where it does not exist.
pub fn registrations(path: &str, place: &Place, asked: Option<Protection>) -> Result<Registrations, LocationError> {
    let wants = |protection| asked.is_none_or(|asked| asked == protection);
    let filled = Filled::of(place);
    let external_vpc = if wants(Protection::ExternalVpc) {
        location::region(place.location.as_deref())?;
        Some(Registration {
            gcloud: gcloud::external_vpc(path, &filled),
            terraform: terraform::external_vpc(path, &filled),
        })
    } else {
        None
    };
    let external = wants(Protection::External).then(|| Registration {
        gcloud: gcloud::external(path, &filled),
        terraform: terraform::external(path, &filled),
    });
    let fill_in = filled.left_open(external_vpc.as_ref());
    Ok(Registrations { external_vpc, external, fill_in })
}

/// A place without gaps.
struct Filled<'a> {
    project: &'a str,
    location: &'a str,
    key_ring: &'a str,
    crypto_key: &'a str,
    ekm_connection: &'a str,
    hostname: &'a str,
}

/// The words that stand for what nobody can know here: the entry of Service Directory, and the certificate of the frontends.
const SERVICE: &str = "SERVICE_DIRECTORY_SERVICE";
const CERTIFICATE: &str = "FRONTEND_CERTIFICATE";

impl<'a> Filled<'a> {
    fn of(place: &'a Place) -> Self {
        let or = |given: &'a Option<String>, word: &'static str| given.as_deref().unwrap_or(word);
        Self {
            project: or(&place.project, "PROJECT"),
            location: or(&place.location, "LOCATION"),
            key_ring: or(&place.key_ring, "KEY_RING"),
            crypto_key: or(&place.crypto_key, "CRYPTO_KEY"),
            ekm_connection: or(&place.ekm_connection, "EKM_CONNECTION"),
            hostname: or(&place.hostname, "HOSTNAME"),
        }
    }

    fn left_open(&self, vpc: Option<&Registration>) -> Vec<String> {
        let named = [self.project, self.location, self.key_ring, self.crypto_key, self.hostname];
        let words = ["PROJECT", "LOCATION", "KEY_RING", "CRYPTO_KEY", "HOSTNAME"];
        let mut open: Vec<String> =
            named.iter().zip(words).filter(|(value, word)| **value == *word).map(|(_, word)| word.to_owned()).collect();
        if vpc.is_some() {
            if self.ekm_connection == "EKM_CONNECTION" {
                open.push("EKM_CONNECTION".to_owned());
            }
            open.extend([SERVICE.to_owned(), format!("{CERTIFICATE}.pem"), format!("{CERTIFICATE}.der")]);
        }
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "v0/keys/000102030405060708090a0b0c0d0e0f";

    fn place() -> Place {
        let text = |text: &str| Some(text.to_owned());
        Place {
            project: text("acme-prod"),
            location: text("europe-west3"),
            key_ring: text("payroll"),
            crypto_key: text("salaries"),
            ekm_connection: text("berlin"),
            hostname: text("ekm.example.com"),
        }
    }

    /// Both ways as text: a change to the lines is a change to these files, in review.
    #[test]
    fn the_lines_are_as_pinned() {
        let lines = registrations(PATH, &place(), None).expect("a region takes both ways");
        let shown = |registration: Option<Registration>| {
            let registration = registration.expect("both ways are asked for");
            format!("{}\n\n{}", registration.gcloud.join("\n"), registration.terraform)
        };
        assert_eq!(shown(lines.external_vpc), include_str!("external_vpc.txt"));
        assert_eq!(shown(lines.external), include_str!("external.txt"));
        assert_eq!(lines.fill_in, [SERVICE, "FRONTEND_CERTIFICATE.pem", "FRONTEND_CERTIFICATE.der"]);
    }

    #[test]
    fn what_is_not_said_stands_in_capitals_and_is_listed() {
        let lines = registrations(PATH, &Place::default(), None).expect("no location is no multi-region");
        let text = serde_json::to_string(&lines).expect("lines are JSON");
        assert_eq!(lines.fill_in.len(), 9);
        assert!(lines.fill_in.iter().all(|word| text.matches(word.as_str()).count() > 1), "{text}");
        let external =
            registrations(PATH, &Place::default(), Some(Protection::External)).expect("no location is asked for");
        assert_eq!(external.external_vpc, None);
        assert_eq!(external.fill_in, ["PROJECT", "LOCATION", "KEY_RING", "CRYPTO_KEY", "HOSTNAME"]);
    }

    #[test]
    fn a_multi_region_is_for_external_alone() {
        let europe = Place { location: Some("europe".to_owned()), ..place() };
        for asked in [None, Some(Protection::ExternalVpc)] {
            let refused = registrations(PATH, &europe, asked).expect_err("EXTERNAL_VPC lives in regions");
            assert!(refused.to_string().contains("--protection-level external"), "{refused}");
        }
        let lines =
            registrations(PATH, &europe, Some(Protection::External)).expect("EXTERNAL lives in multi-regions too");
        assert!(lines.external.is_some_and(|lines| lines.gcloud.iter().all(|line| line.contains("europe"))));
    }

    #[test]
    fn the_caller_is_the_service_agent_of_the_project() {
        assert_eq!(caller(Some(42)), "service-42@gcp-sa-ekms.iam.gserviceaccount.com");
        assert_eq!(caller(None), "service-PROJECT_NUMBER@gcp-sa-ekms.iam.gserviceaccount.com");
    }
}
