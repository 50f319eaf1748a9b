//! `tegata trust add` and `tegata trust list`.

use serde_json::json;

use crate::channel::Channel;
use crate::consent;
use crate::failure::Failure;
use crate::origin::{Access, Origin};
use crate::record::Record;
use crate::report::Report;
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
    let signed = Channel::new(&origin)?.descriptor()?;
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
            report.fact("basis", "known root");
            known.refreshed(signed, terminal.now)?.moved_to(origin)
        }
        None => {
            agree(terminal, request, &met, report)?;
            met
        }
    };
    terminal.trust.put(&entry)?;
    Ok(entry)
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
