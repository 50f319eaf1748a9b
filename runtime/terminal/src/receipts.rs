//! `tegata receipt`: the stored receipts, and the check of one from elsewhere.

use std::io::Read as _;
use std::path::Path;

use jiff::tz::TimeZone;
use relay::journal::Journal as _;
use serde_json::json;
use wire::exchange::RECEIPT_LEN_MAX;
use wire::receipt::Receipt;

use crate::consent;
use crate::escape;
use crate::failure::Failure;
use crate::hex;
use crate::input;
use crate::lang::Lang;
use crate::report::Report;
use crate::settle::Proof;
use crate::terminal::Terminal;

/// Lists the stored receipts, or shows and checks the one that `which` names: a remittance id,
/// else a file.
pub fn receipt(terminal: &Terminal<'_>, which: Option<&str>) -> Report {
    let mut report = Report::new("receipt");
    let result = match which {
        None => list(terminal, &mut report),
        Some(which) => show(terminal, which, &mut report),
    };
    match result {
        Ok(()) => report,
        Err(failure) => report.failed(failure),
    }
}

fn list(terminal: &Terminal<'_>, report: &mut Report) -> Result<(), Failure> {
    let mut documents = Vec::new();
    for key in terminal.journal.receipts()? {
        let Some(bytes) = terminal.journal.receipt(&key)? else {
            continue;
        };
        let receipt = match check(terminal, bytes) {
            Ok(proof) => proof.receipt,
            Err(failure) => {
                // Stored after it was checked; since then its issuer or key was given up.
                let id = hex::id(&key.remittance);
                report.lines.push(format!("{id}  {}", failure.code));
                documents
                    .push(json!({ "remittance": id, "issuer": key.issuer, "code": failure.code }));
                continue;
            }
        };
        report.lines.push(format!(
            "{}  {}  {}  {}",
            hex::id(&receipt.remittance),
            consent::time(receipt.credited_at, &terminal.zone),
            receipt.amount,
            escape::quoted(&receipt.sender),
        ));
        documents.push(json!({
            "remittance": hex::id(&receipt.remittance),
            "issuer": receipt.issuer,
            "amount_minor": receipt.amount.minor(),
            "currency": receipt.amount.currency().code(),
            "credited_at": consent::utc(receipt.credited_at),
        }));
    }
    if documents.is_empty() {
        report.lines.push(
            terminal
                .lang
                .pick("No receipts yet.", "受領証はまだありません。")
                .to_owned(),
        );
    }
    report.fact("receipts", documents);
    Ok(())
}

fn show(terminal: &Terminal<'_>, which: &str, report: &mut Report) -> Result<(), Failure> {
    let bytes = match hex::parse_id(which) {
        Some(id) => stored(terminal, id)?.ok_or(Failure::new("E_RECEIPT_UNKNOWN"))?,
        None => read(Path::new(which))?,
    };
    let proof = check(terminal, bytes)?;
    report.fact("remittance", hex::id(&proof.receipt.remittance));
    report.fact("issuer", proof.receipt.issuer.as_str());
    report.fact("amount_minor", proof.receipt.amount.minor());
    report.fact("currency", proof.receipt.amount.currency().code());
    report.fact("amount", proof.receipt.amount.to_string());
    report.fact("card", proof.receipt.card_masked.as_str());
    report.fact("sender", proof.receipt.sender.as_str());
    describe(report, &proof, &terminal.zone, terminal.lang);
    Ok(())
}

/// The stored receipt of this id, if one issuer alone has it: ids of different issuers are
/// unrelated, and none is chosen.
fn stored(terminal: &Terminal<'_>, id: [u8; 16]) -> Result<Option<Vec<u8>>, Failure> {
    let mut keys = terminal.journal.receipts()?;
    keys.retain(|key| key.remittance == id);
    match &keys[..] {
        [] => Ok(None),
        [key] => terminal.journal.receipt(key),
        several => {
            let issuers: Vec<_> = several
                .iter()
                .map(|key| escape::shown(&key.issuer))
                .collect();
            Err(Failure::with("E_RECEIPT_AMBIGUOUS", issuers.join(", ")))
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(RECEIPT_LEN_MAX)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    input::regular_file(path)?
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::with("E_INPUT", format!("{}: {error}", path.display())))?;
    Ok(bytes)
}

/// Checks the signature with the keys of the trusted issuer that the receipt names.
fn check(terminal: &Terminal<'_>, bytes: Vec<u8>) -> Result<Proof, Failure> {
    let mut wrong = Failure::new("E_ISSUER_UNTRUSTED");
    for issuer in terminal.trust.all()? {
        match Receipt::verify(&bytes, &issuer.descriptor.keys) {
            Ok(receipt) if receipt.issuer == issuer.name() => return Ok(Proof { bytes, receipt }),
            Ok(_) => wrong = Failure::with("E_RECEIPT", "it names another issuer"),
            Err(error) => wrong = Failure::with("E_RECEIPT", error),
        }
    }
    Err(wrong)
}

/// Adds what a receipt says, in words and in the document.
pub(crate) fn describe(report: &mut Report, proof: &Proof, zone: &TimeZone, lang: Lang) {
    let receipt = &proof.receipt;
    report.fact("credited_at", consent::utc(receipt.credited_at));
    report.fact("receipt", hex::encode(&proof.bytes));
    for (en, ja, value) in [
        ("Amount", "金額", receipt.amount.to_string()),
        ("Card", "カード", escape::shown(&receipt.card_masked)),
        ("Sender", "送金者", escape::quoted(&receipt.sender)),
        (
            "Done at",
            "処理日時",
            consent::time(receipt.credited_at, zone),
        ),
        ("Issuer", "発行者", escape::shown(&receipt.issuer)),
        ("Remittance", "送金番号", hex::id(&receipt.remittance)),
    ] {
        report
            .lines
            .push(format!("  {}: {value}", lang.pick(en, ja)));
    }
}
