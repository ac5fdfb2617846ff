//! Which locations of Cloud KMS are single regions: `EXTERNAL_VPC` keys live in no other. Knows names alone; whether Google
//! offers external keys in a region is Google's to say.
//!
//! Source: the table "Cloud KMS locations" (cloud.google.com/kms/docs/locations). A region's name is an area, a hyphen, a
//! direction and a number; what spans several regions has no hyphen.

/// What spans several regions, by its beginning: names that are known, so that the refusal can say what they are.
const MULTI_REGIONS: &[&str] = &["asia", "au", "ca", "eu", "eur", "europe", "global", "in", "nam", "us"];

/// A location where `EXTERNAL_VPC` does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// It spans several regions.
    #[error(
        "{location} spans several regions, and EXTERNAL_VPC keys live in a single one: name a region such as europe-west3 with \
         --location, or register the key as EXTERNAL with --protection-level external"
    )]
    MultiRegion {
        /// Which.
        location: String,
    },
    /// It is nothing that Cloud KMS has.
    #[error(
        "{location} is not the name of a region: name one such as europe-west3 or us-central1; `gcloud kms locations list` lists them"
    )]
    Unknown {
        /// What was said.
        location: String,
    },
}

/// That a location, if one is said, is a single region.
pub(super) fn region(location: Option<&str>) -> Result<(), LocationError> {
    let Some(location) = location else { return Ok(()) };
    let stem = location.trim_end_matches(|one: char| one.is_ascii_digit());
    if MULTI_REGIONS.contains(&stem) && !location.contains('-') {
        return Err(LocationError::MultiRegion { location: location.to_owned() });
    }
    if is_region(location) { Ok(()) } else { Err(LocationError::Unknown { location: location.to_owned() }) }
}

fn is_region(location: &str) -> bool {
    let Some((area, place)) = location.split_once('-') else { return false };
    let letters = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase());
    let direction = place.trim_end_matches(|one: char| one.is_ascii_digit());
    letters(area) && letters(direction) && direction.len() < place.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_multi_regions_and_neither() {
        for region_name in ["europe-west3", "us-central1", "northamerica-northeast2", "me-central2", "africa-south1"] {
            assert_eq!(region(Some(region_name)), Ok(()), "{region_name}");
        }
        assert_eq!(region(None), Ok(()));
        for several in ["us", "europe", "eu", "asia", "asia1", "global", "nam3", "nam12", "eur4", "ca", "in", "au"] {
            assert_eq!(region(Some(several)), Err(LocationError::MultiRegion { location: several.to_owned() }));
        }
        for nothing in ["", "-", "berlin", "europe-west", "europe-3", "EUROPE-WEST3", "europe-west3-a", "us central1"] {
            assert_eq!(region(Some(nothing)), Err(LocationError::Unknown { location: nothing.to_owned() }));
        }
    }
}
