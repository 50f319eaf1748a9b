//! `tegata trust`: add, list, show, remove, reset-time.

use serde_json::json;

use crate::channel::Channel;
use crate::consent;
use crate::failure::Failure;
use crate::origin::{Access, Origin};
use crate::record::Record;
use crate::report::Report;
use crate::roots::{NewRoot, Served};
use crate::terminal::{Consent, Terminal};
use crate::trust::Trusted;
use crate::ui::Answer;

/// Whom to trust, and what is known of them beforehand.
#[derive(Debug, Clone)]
pub struct Request {
    /// DNS name or address, as typed.
    pub address: String,
    /// A real or a test issuer.
    pub access: Access,
    /// The fingerprint from the card or leaflet, as typed.
    pub fingerprint: Option<String>,
    /// How trust on first use is agreed to.
    pub consent: Consent,
}

/// Fetches the issuer's descriptor and stores it, if the person trusts it.
///
/// By comparison if a fingerprint is given; else on first use, after being asked. An issuer that
/// is trusted already keeps its root; its origin and keys are brought up to date, but a public
/// issuer never becomes a test issuer.
pub fn add(terminal: &mut Terminal<'_>, request: &Request) -> Report {
    let mut report = Report::new("trust-add");
    if let Err(failure) = terminal.log.ready() {
        return report.failed(failure);
    }
    let record = Record::new("trust-add", terminal.now);
    let report = match steps(terminal, request, &mut report) {
        Ok(entry) => {
            report.outcome = "trusted";
            describe(terminal, &mut report, &entry);
            report
        }
        Err(failure) => report.failed(failure),
    };
    record.close(terminal, report)
}

fn steps(
    terminal: &mut Terminal<'_>,
    request: &Request,
    report: &mut Report,
) -> Result<Trusted, Failure> {
    let origin = Origin::parse(&request.address, request.access)?;
    let channel = Channel::new(&origin)?;
    let signed = channel.descriptor()?;
    let met = Trusted::first_contact(origin.clone(), signed.clone(), terminal.now)?;
    if let Some(expected) = &request.fingerprint
        && !is_same_fingerprint(expected, &met.fingerprint())
    {
        return Err(Failure::with("E_FINGERPRINT", met.fingerprint()));
    }
    let entry = match terminal.trust.find(met.name())? {
        // Its descriptor is public, so showing it on this computer proves nothing.
        Some(known)
            if known.origin.access() == Access::Public && origin.access() == Access::Dev =>
        {
            let reason = format!("{} is trusted at its public address", known.name());
            return Err(Failure::with("E_ORIGIN", reason));
        }
        Some(known) => {
            let root = known.descriptor.root;
            let served = Served {
                succession: Served::succession(&channel, &signed, Some(&root))?,
                descriptor: signed,
            };
            let newer = known.refreshed(served, terminal.now)?.moved_to(origin);
            match NewRoot::between(newer.name(), &root, &newer.descriptor.root) {
                Some(new) => {
                    report.fact("basis", "succession");
                    terminal.tell_new_root(new);
                }
                None => report.fact("basis", "known root"),
            }
            newer
        }
        None => {
            agree(terminal, request, &met, report)?;
            met
        }
    };
    terminal.trust.put(&entry)?;
    let told = terminal.trust.told(entry.name())?;
    let told = told.heard(entry.descriptor.issued_at, terminal.now);
    terminal.trust.put_told(entry.name(), &told)?;
    Ok(entry)
}

/// Shows one trusted issuer: address, root, keys, and the latest time that it signed.
pub fn show(terminal: &Terminal<'_>, name: &str) -> Report {
    let mut report = Report::new("trust-show");
    let shown = || {
        let entry = found(terminal, name)?;
        Ok((entry, terminal.trust.told(name)?))
    };
    let (entry, told) = match shown() {
        Ok(shown) => shown,
        Err(failure) => return report.failed(failure),
    };
    describe(terminal, &mut report, &entry);
    let lang = terminal.lang;
    report.lines.push(format!(
        "  {}: {}",
        lang.pick("Keys fetched", "鍵の取得日時"),
        consent::time(entry.fetched_at, &terminal.zone)
    ));
    for key in &entry.descriptor.keys {
        let revoked = if key.revoked_at.is_some() {
            lang.pick("  REVOKED", "  失効")
        } else {
            ""
        };
        report.lines.push(format!(
            "  {} {}  {} - {}{revoked}",
            purpose(key.purpose),
            crate::hex::encode(&wire::signed::key_id(&key.public)),
            consent::utc(key.not_before),
            consent::utc(key.not_after),
        ));
    }
    for (root, until) in entry.roots.former() {
        report.lines.push(format!(
            "  {} {}  - {}",
            lang.pick("former root", "以前の根の鍵"),
            wire::descriptor::fingerprint(&root),
            consent::utc(until),
        ));
    }
    if told.floor() > 0 {
        report.fact("latest_signed_time", consent::utc(told.floor()));
        report.lines.push(format!(
            "  {}: {}",
            lang.pick("Latest time it signed", "発行者が署名した最新の時刻"),
            consent::time(told.floor(), &terminal.zone)
        ));
    }
    report
}

/// Stops trusting an issuer; what was received from it stays in journal and receipts.
pub fn remove(terminal: &mut Terminal<'_>, name: &str) -> Report {
    let report = Report::new("trust-remove");
    if let Err(failure) = terminal.log.ready() {
        return report.failed(failure);
    }
    let record = Record::new("trust-remove", terminal.now);
    let removed = found(terminal, name).and_then(|entry| {
        terminal.trust.remove(name)?;
        Ok(entry)
    });
    let report = changed(report, "removed", removed);
    record.close(terminal, report)
}

/// Forgets the latest time that an issuer signed, after this computer's clock was wrong.
pub fn reset_time(terminal: &mut Terminal<'_>, name: &str) -> Report {
    let report = Report::new("trust-reset-time");
    if let Err(failure) = terminal.log.ready() {
        return report.failed(failure);
    }
    let record = Record::new("trust-reset-time", terminal.now);
    let reset = found(terminal, name).and_then(|entry| {
        let told = terminal.trust.told(name)?.without_floor();
        terminal.trust.put_told(name, &told)?;
        Ok(entry)
    });
    let report = changed(report, "done", reset);
    record.close(terminal, report)
}

fn changed(mut report: Report, outcome: &'static str, result: Result<Trusted, Failure>) -> Report {
    match result {
        Ok(entry) => {
            report.outcome = outcome;
            report.fact("issuer", entry.name());
            report.fact("fingerprint", entry.fingerprint());
            report.lines.push(line(&entry));
            report
        }
        Err(failure) => report.failed(failure),
    }
}

fn found(terminal: &Terminal<'_>, name: &str) -> Result<Trusted, Failure> {
    let entry = terminal.trust.find(name)?;
    entry.ok_or_else(|| Failure::with("E_NOT_TRUSTED", name))
}

fn agree(
    terminal: &mut Terminal<'_>,
    request: &Request,
    met: &Trusted,
    report: &mut Report,
) -> Result<(), Failure> {
    if request.fingerprint.is_some() {
        report.fact("basis", "fingerprint");
        return Ok(());
    }
    report.fact("basis", "first use");
    let (name, origin, fingerprint) = (met.name(), &met.origin, met.fingerprint());
    terminal.tell(&format!("Issuer: {name}"), &format!("発行者: {name}"));
    terminal.tell(
        &format!("Address: {origin}"),
        &format!("アドレス: {origin}"),
    );
    terminal.tell(
        &format!("Fingerprint: {fingerprint}"),
        &format!("フィンガープリント: {fingerprint}"),
    );
    terminal.tell(
        "Compare it with the one printed on your card or leaflet. Without that comparison you \
         trust whoever answered at this address just now (trust on first use).",
        "カードや案内書に印刷されたものと照合してください。照合しない場合は、今このアドレスで応答した相手を\
         そのまま信頼することになります(初回信頼)。",
    );
    match request.consent {
        Consent::GivenByFlag => {
            terminal.tell(
                "trust on first use: given by --yes",
                "初回信頼: --yes により指定済み",
            );
            Ok(())
        }
        Consent::Ask => {
            let question = terminal.lang.pick(
                "Trust this issuer? [y/N] ",
                "この発行者を信頼しますか? [y/N] ",
            );
            match terminal.person.ask(question) {
                Answer::Yes => Ok(()),
                Answer::No => Err(Failure::new("E_DECLINED")),
                Answer::Nobody => Err(Failure::new("E_NO_CONSENT")),
            }
        }
    }
}

/// Whether a typed fingerprint is the shown one, letter case, spaces and hyphens aside.
fn is_same_fingerprint(typed: &str, shown: &str) -> bool {
    let letters = |text: &str| -> String {
        text.chars()
            .filter(|c| !matches!(c, '-' | ' '))
            .map(|c| c.to_ascii_uppercase())
            .collect()
    };
    letters(typed) == letters(shown)
}

/// Lists the trusted issuers.
pub fn list(terminal: &Terminal<'_>) -> Report {
    let mut report = Report::new("trust-list");
    let issuers = match terminal.trust.all() {
        Ok(issuers) => issuers,
        Err(failure) => return report.failed(failure),
    };
    if issuers.is_empty() {
        let none = terminal.lang.pick(
            "No issuer is trusted yet.",
            "信頼済みの発行者はありません。",
        );
        report.lines.push(none.to_owned());
    }
    for entry in &issuers {
        report.lines.push(line(entry));
    }
    report.fact("issuers", issuers.iter().map(document).collect::<Vec<_>>());
    report
}

pub(crate) fn line(entry: &Trusted) -> String {
    let dev = match entry.origin.access() {
        Access::Public => "",
        Access::Dev => "  --dev",
    };
    format!(
        "{}  {}  {}{dev}",
        entry.name(),
        entry.fingerprint(),
        entry.origin
    )
}

pub(crate) fn document(entry: &Trusted) -> serde_json::Value {
    json!({
        "issuer": entry.name(),
        "fingerprint": entry.fingerprint(),
        "origin": entry.origin.to_string(),
        "dev": entry.origin.access() == Access::Dev,
        "fetched_at": consent::utc(entry.fetched_at),
        "former_roots": entry.roots.document(),
        "keys": entry.descriptor.keys.iter().map(|key| json!({
            "id": crate::hex::encode(&wire::signed::key_id(&key.public)),
            "purpose": purpose(key.purpose),
            "not_before": consent::utc(key.not_before),
            "not_after": consent::utc(key.not_after),
            "revoked": key.revoked_at.is_some(),
        })).collect::<Vec<_>>(),
    })
}

const fn purpose(purpose: wire::descriptor::Purpose) -> &'static str {
    use wire::descriptor::Purpose;
    match purpose {
        Purpose::Program => "program",
        Purpose::Receipt => "receipt",
        Purpose::Status => "status",
        Purpose::Audit => "audit",
    }
}

fn describe(terminal: &Terminal<'_>, report: &mut Report, entry: &Trusted) {
    if let serde_json::Value::Object(facts) = document(entry) {
        report.facts.extend(facts);
    }
    let title = terminal.lang.pick("Trusted:", "信頼済み:");
    report.lines.push(format!("{title} {}", line(entry)));
}

#[cfg(test)]
mod tests {
    use super::is_same_fingerprint;

    #[test]
    fn a_fingerprint_may_be_typed_in_any_case_and_grouping() {
        let shown = "ABCD-EFGH-IJKL-MNOP";
        for (typed, same) in [
            (shown, true),
            ("abcdefgh ijklmnop", true),
            ("ABCD-EFGH-IJKL-MNOQ", false),
            ("ABCD-EFGH-IJKL", false),
            ("", false),
        ] {
            assert_eq!(is_same_fingerprint(typed, shown), same, "{typed}");
        }
    }
}
