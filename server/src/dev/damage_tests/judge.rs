//! What a start makes of a damaged directory, and whether that will do.
//!
//! Refused will do if the error names the file or its group and says what to do, if nothing else was changed, and if the
//! directory serves again as before once the file is put back. Served will do if every observable is the control's, if
//! what cannot be made anew was not rewritten, and if the next start comes to the same. Everything else is a fault.

use std::path::Path;
use std::time::Duration;

use super::damage::Damage;
use super::site::{Kept, Site, files_of, put, scratch};
use super::start::{Bench, Started};
use crate::dev::settings::{DevSettings, SETTINGS_FILE};
use crate::exit;
use crate::settings::reader::ReadBy;

/// A start takes a fraction of a second: one that takes this long hangs.
const START_MAX: Duration = Duration::from_secs(50);

/// How a damage did not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// The start was refused.
    Refused,
    /// A mirror was thrown away and made anew from the log.
    Rebuilt,
    /// Nothing that is used was hit, or it is made anew at each start.
    Harmless,
    /// The settings file says something else that somebody might have written there.
    Edited,
}

/// What a refusal tells its reader to do; or, of settings, what is wrong with which line or field.
const REMEDIES: [&str; 10] = [
    "put it back",
    "put back",
    "put the key file back",
    "put the root key back",
    "put its folder",
    "name another folder",
    "remove it to have",
    "write it anew",
    "not UTF-8: its line",
    "mistake",
];

/// Damages a copy, starts it, and looks at what came of it.
pub(super) async fn judge(bench: &Bench, site: &Site, damage: &Damage) -> Result<Verdict, String> {
    let damaged = damage.done_to(site);
    if let Some(damaged) = damaged.as_ref().filter(|file| file.name == SETTINGS_FILE)
        && is_edited(site, damaged)?
    {
        return Ok(Verdict::Edited);
    }
    let folder = scratch();
    let data = folder.path().join("data");
    site.lay_out(&data);
    match &damaged {
        Some(damaged) => put(&data, damaged),
        None => std::fs::remove_file(data.join(&damage.file)).expect("it was laid out"),
    }
    let before = files_of(&data);
    match start(bench, &data).await? {
        Err(refused) => {
            is_told(&refused, &data, &damage.file)?;
            nothing_changed(&before, &data)?;
            put(&data, site.file(&damage.file));
            let healed = start(bench, &data).await?.map_err(|error| format!("put back, it is refused: {error}"))?;
            stopped_like(site, healed).await.map_err(|error| format!("put back, {error}"))?;
            Ok(Verdict::Refused)
        }
        Ok(started) => {
            let verdict = if started.rebuilt_a_mirror() { Verdict::Rebuilt } else { Verdict::Harmless };
            stopped_like(site, started).await?;
            kept_what_is_precious(&before, &data)?;
            if damage.file.starts_with("groups/") {
                // what was not found may still be in the way of what is written next
                let again =
                    start(bench, &data).await?.map_err(|error| format!("the next start is refused: {error}"))?;
                stopped_like(site, again).await.map_err(|error| format!("at the next start {error}"))?;
            }
            Ok(verdict)
        }
    }
}

/// A start, or why it was refused, with causes.
async fn start(bench: &Bench, data: &Path) -> Result<Result<Started, String>, String> {
    let started = tokio::time::timeout(START_MAX, bench.start(data)).await.map_err(|_| "the start hangs".to_owned())?;
    Ok(started.map_err(|error| exit::with_causes(&error)))
}

async fn stopped_like(site: &Site, started: Started) -> Result<(), String> {
    let compared = site.compare(&started).await;
    started.stop().await;
    compared
}

/// Whether the damaged settings are settings, and others. They are then what an editor might have left: in their ranges,
/// with the stamp, and able to be written and read again.
fn is_edited(site: &Site, damaged: &Kept) -> Result<bool, String> {
    let parse = |bytes: &[u8]| DevSettings::parse(std::str::from_utf8(bytes).ok()?, ReadBy::Dev).ok();
    let Some(found) = parse(&damaged.bytes) else { return Ok(false) };
    if parse(found.to_toml().as_bytes()).as_ref() != Some(&found) {
        return Err("the settings that were read are none".to_owned());
    }
    Ok(Some(found) != parse(&site.file(SETTINGS_FILE).bytes))
}

/// Whether a refusal names what is damaged and says what to do.
fn is_told(refused: &str, data: &Path, file: &str) -> Result<(), String> {
    let group = file.strip_prefix("groups/").map(|rest| format!("group {}", &rest[..1]));
    let names_file = refused.contains(&data.join(file).display().to_string());
    let names_folder = file == "EKM-DEV" && refused.contains(&data.display().to_string());
    let names_group = group.is_some_and(|group| refused.contains(&group));
    if !(names_file || names_folder || names_group) {
        return Err(format!("the refusal names something else: {refused}"));
    }
    if !REMEDIES.iter().any(|remedy| refused.contains(remedy)) {
        return Err(format!("the refusal does not say what to do: {refused}"));
    }
    Ok(())
}

/// Whether a refused start left everything as it was. Databases alone are other bytes: redb keeps its books when a log is
/// opened and closed, and the mirror is a cache. That nothing in them is lost shows when the file is put back.
fn nothing_changed(before: &[Kept], data: &Path) -> Result<(), String> {
    let is_free = |name: &str| name.contains("/state/") || name.ends_with("/log.redb");
    let precious = |files: &[Kept]| -> Vec<(String, Vec<u8>, u32)> {
        let kept = files.iter().filter(|file| !is_free(&file.name));
        kept.map(|file| (file.name.clone(), file.bytes.clone(), file.mode)).collect()
    };
    let after = files_of(data);
    let (before, after) = (precious(before), precious(&after));
    match before.iter().find(|file| !after.contains(file)).or_else(|| after.iter().find(|file| !before.contains(file)))
    {
        Some((name, ..)) => Err(format!("the refused start changed {name}")),
        None => Ok(()),
    }
}

/// Whether a start that served rewrote nothing but what it makes anew: keys, certificates and settings stay, and of the
/// audit, which nothing reads back, every byte.
fn kept_what_is_precious(before: &[Kept], data: &Path) -> Result<(), String> {
    let made_anew = ["EKM-DEV", "token", "dev.json", "issuer/jwks.json"];
    for file in before.iter().filter(|file| !file.name.starts_with("groups/") && !made_anew.contains(&&*file.name)) {
        let now = std::fs::read(data.join(&file.name)).map_err(|error| format!("{} is gone: {error}", file.name))?;
        let kept = if file.name.starts_with("audit/") { now.starts_with(&file.bytes) } else { now == file.bytes };
        if !kept {
            return Err(format!("the start rewrote {}", file.name));
        }
    }
    Ok(())
}
