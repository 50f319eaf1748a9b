//! `tegata open`: from received bytes to a stored receipt.
//!
//! The order of the steps is the safety of it: nothing runs before the program is verified and
//! admitted and the person has agreed; nothing that moves money is sent before it is journalled.

use core::time::Duration;
use std::ffi::OsString;

use card_reader::{Connection, ReaderError, ReaderSpec};
use crashpoint::reach;
use program::{
    CLOCK_TOLERANCE_S, Kind, Order, RawProgram, TrustedKey, VerifiedProgram, VerifyError,
};
use relay::journal::Journal as _;
use relay::run::Run;
use relay::watch::{Scope, Watch};
use sandbox::walls::{Wall, Walls};
use sandbox::{Deadlines, Failure as GaveUp, Fault, RunError, Runner, RunnerCommand};

use crate::channel::Channel;
use crate::consent;
use crate::effects::{self, Live};
use crate::failure::Failure;
use crate::hex;
use crate::input::{self, Source};
use crate::journal::{Entry, Facts, Key};
use crate::mail::Found;
use crate::record::Record;
use crate::report::Report;
use crate::roots::Served;
use crate::settle::{self, Proof};
use crate::terminal::{Consent, RUNNER, Terminal};
use crate::trust::Trusted;
use crate::ui::Answer;

/// How often a reader is looked at while a person fetches the card.
const CARD_POLL: Duration = Duration::from_millis(500);

/// Looks at the reader before giving up: one minute, the time to find a card in a bag.
const CARD_POLLS_MAX: u32 = 120;

/// Seconds after which an answer to the consent question is not believed without new checks.
const CONSENT_MAX_S: u64 = 600;

/// What to open and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// Program or mail.
    pub source: Source,
    /// The reader with the card.
    pub reader: ReaderSpec,
    /// How consent is given.
    pub consent: Consent,
}

/// A verified program and what stands around it.
struct Opened {
    program: VerifiedProgram,
    issuer: Trusted,
    key: Key,
    facts: Facts,
}

/// When a remittance was credited, as this command sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Credited {
    Now,
    Before,
}

/// Opens a program, asks, runs it and keeps the receipt; everything that happened is in the report.
pub fn open(terminal: &mut Terminal<'_>, request: &Request) -> Report {
    let mut report = Report::new("open");
    // Without a place for its record nothing is opened.
    let mut record = match Record::begin("open", terminal, &mut report) {
        Ok(record) => record,
        Err(failure) => return report.failed(failure),
    };
    let report = match steps(terminal, request, &mut report, &mut record) {
        Ok((proof, credited)) => {
            show_receipt(terminal, &mut report, &proof, credited);
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
    record: &mut Record,
) -> Result<(Proof, Credited), Failure> {
    let settled_now = settle_earlier(terminal, report)?;
    let Found {
        program: bytes,
        others,
    } = input::program_bytes(&request.source)?;
    record.file(&bytes);
    tell_others(terminal, report, record, others);
    let opened = verify(terminal, bytes)?;
    record.program(&opened.program);
    describe(report, opened.program.order());
    let _lock = terminal.journal.lock(&opened.key)?;
    let entry = remembered(terminal, &opened)?;
    if let Some(proof) = stored_receipt(terminal, &opened)? {
        let now = settled_now.contains(&opened.key);
        return Ok((proof, if now { Credited::Now } else { Credited::Before }));
    }
    let opened = refresh_if_stale(terminal, opened)?;
    let opened = check_status(terminal, opened)?;
    let admitted = sandbox::admit(opened.program.clone())
        .map_err(|error| Failure::with(error.code(), error).told_as("E_POLICY"))?;
    record.note()?;
    // The child compiles while the person reads.
    let runner = Runner::spawn(admitted, &runner_command(terminal))
        .map_err(|error| sandbox_failure(&error))?;
    tell_missing_walls(terminal, report, runner.walls());
    reach!("terminal::entry::before-write");
    terminal.journal.put(&opened.key, &entry)?;
    reach!("terminal::entry::after-write");
    agree(terminal, request.consent, &opened, report)?;
    let opened = still_good(terminal, opened)?;
    run(terminal, request, &opened, runner, report, record)
}

/// What was checked before the question is checked again if the answer took its time: a window may
/// stand open for days.
fn still_good(terminal: &mut Terminal<'_>, opened: Opened) -> Result<Opened, Failure> {
    let now = (terminal.clock)();
    if now.abs_diff(terminal.now) <= CONSENT_MAX_S {
        return Ok(opened);
    }
    terminal.now = now;
    let opened = verify(terminal, opened.program.bytes().to_vec())?;
    let opened = refresh_if_stale(terminal, opened)?;
    check_status(terminal, opened)
}

/// Sends the unanswered exchanges of earlier runs again and tells what became of them.
fn settle_earlier(terminal: &mut Terminal<'_>, report: &mut Report) -> Result<Vec<Key>, Failure> {
    let mut credited = Vec::new();
    let mut documents = Vec::new();
    let (journal, trust) = (terminal.journal.clone(), terminal.trust.clone());
    let mut newest = |issuer: &Trusted| refresh(terminal, issuer);
    for settled in settle::unanswered(&journal, &trust, &mut newest)? {
        let id = hex::id(&settled.key.remittance);
        let outcome = match settled.result {
            Ok(_) => {
                terminal.tell(
                    &format!("Earlier remittance {id}: the proof was delivered, it is credited."),
                    &format!("以前の送金 {id}: 証明が届き、入金が確定しました。"),
                );
                credited.push(settled.key);
                "credited"
            }
            Err(failure) => {
                terminal.tell(
                    &format!("Earlier remittance {id}: not settled yet ({failure})."),
                    &format!("以前の送金 {id}: まだ確定していません({failure})。"),
                );
                failure.code
            }
        };
        documents.push(serde_json::json!({ "remittance": id, "outcome": outcome }));
    }
    if !documents.is_empty() {
        report.fact("settled", documents);
    }
    Ok(credited)
}

/// Verifies the bytes with the keys of the trusted issuers, that of the order first: nobody takes its
/// place by listing its key. If that fails by the key, the issuer's newest keys are fetched once.
fn verify(terminal: &mut Terminal<'_>, bytes: Vec<u8>) -> Result<Opened, Failure> {
    let failed = |error: VerifyError| Failure::new(error.code());
    let raw = RawProgram::new(bytes).map_err(failed)?;
    let claimed = program::inspect_unverified(&raw).ok();
    let name = claimed.map(|claimed| claimed.order().issuer.clone());
    let name = name.unwrap_or_default();
    let at = |terminal: &Terminal<'_>| {
        let keys = keys_first_of(terminal, &name)?;
        program::verify(raw.clone(), &keys, terminal.now).map_err(failed)
    };
    let program = match at(terminal) {
        Err(failure) if failure.code == VerifyError::KeyUnknown.code() => {
            let issuer = terminal
                .trust
                .find(&name)?
                .ok_or(Failure::with("E_ISSUER_UNTRUSTED", &name))?;
            refresh(terminal, &issuer)?;
            at(terminal)?
        }
        // The key is known, and not as one that may sign this: perhaps the list is old. If there is
        // no newer one, that stays the answer.
        Err(failure) if is_about_the_key(&failure) => {
            let known = terminal.trust.find(&name)?;
            match known.map(|issuer| refresh(terminal, &issuer)) {
                Some(Ok(_)) => at(terminal)?,
                Some(Err(_)) | None => return Err(failure),
            }
        }
        verified => verified?,
    };
    with_issuer(terminal, program)
}

fn is_about_the_key(failure: &Failure) -> bool {
    [
        VerifyError::Issuer,
        VerifyError::KeyPurpose,
        VerifyError::KeyRevoked,
        VerifyError::KeyTime,
    ]
    .iter()
    .any(|error| error.code() == failure.code)
}

fn with_issuer(terminal: &Terminal<'_>, program: VerifiedProgram) -> Result<Opened, Failure> {
    let order = program.order();
    let issuer = terminal
        .trust
        .find(&order.issuer)?
        .ok_or(Failure::new("E_ISSUER_UNTRUSTED"))?;
    let key = Key {
        issuer: order.issuer.clone(),
        remittance: order.remittance,
    };
    let facts = Facts {
        revision: order.revision,
        order_sha256: program.order_bytes().hash(),
        amount_minor: order.amount.minor(),
        currency: order.amount.currency().code().to_owned(),
    };
    Ok(Opened {
        program,
        issuer,
        key,
        facts,
    })
}

pub(crate) fn all_keys(terminal: &Terminal<'_>) -> Result<Vec<TrustedKey>, Failure> {
    let issuers = terminal.trust.all()?;
    Ok(issuers.iter().flat_map(Trusted::program_keys).collect())
}

/// All keys, those of the issuer `name` first: where two list the same, its entry counts.
fn keys_first_of(terminal: &Terminal<'_>, name: &str) -> Result<Vec<TrustedKey>, Failure> {
    let mut issuers = terminal.trust.all()?;
    issuers.sort_by_key(|issuer| issuer.name() != name);
    Ok(issuers.iter().flat_map(Trusted::program_keys).collect())
}

/// Fetches the issuer's newest keys; a root that the known one has named is told.
fn refresh(terminal: &mut Terminal<'_>, issuer: &Trusted) -> Result<Trusted, Failure> {
    let channel = Channel::new(&issuer.origin)?;
    let served = Served::fetch(&channel, Some(&issuer.descriptor.root))?;
    let (newer, new_root) = terminal.trust.renew(issuer, served, terminal.now)?;
    if let Some(new_root) = new_root {
        terminal.tell_new_root(new_root);
    }
    Ok(newer)
}

/// Before a run the issuer's status list is at most a day old and does not name the program, and
/// key and order are valid by the later one of this computer's time and the issuer's.
fn check_status(terminal: &mut Terminal<'_>, mut opened: Opened) -> Result<Opened, Failure> {
    let now = terminal.now;
    let name = opened.issuer.name().to_owned();
    let told = terminal.trust.told(&name)?;
    let list = match told.fresh_list(&opened.issuer, now) {
        Some(list) => list,
        None => {
            let channel = Channel::new(&opened.issuer.origin);
            let fetched = channel.and_then(|channel| channel.status_list());
            let signed = fetched.map_err(|error| Failure::with("E_STATUS_STALE", error))?;
            if told.renewed(signed.clone(), &opened.issuer, now).is_err() {
                // The issuer may have a new status key. Its list of keys may bring more than that.
                refresh(terminal, &opened.issuer)?;
                opened = verify(terminal, opened.program.bytes().to_vec())?;
            }
            terminal.trust.renew_status(&opened.issuer, signed, now)?
        }
    };
    let order = opened.program.order();
    if list.withdraws(&order.template_hash, &order.remittance, order.revision) {
        return Err(Failure::new("E_PROGRAM_REVOKED"));
    }
    let time = terminal.trust.told(&name)?.time(now);
    check_time(order, time)?;
    if time == now {
        return Ok(opened);
    }
    let raw = RawProgram::new(opened.program.bytes().to_vec());
    let keys = keys_first_of(terminal, &name)?;
    raw.and_then(|raw| program::verify(raw, &keys, time))
        .map_err(|error| Failure::new(error.code()))
        .and_then(|program| with_issuer(terminal, program))
}

/// Before a run the issuer's keys are at most a day old; the program is verified again with them.
fn refresh_if_stale(terminal: &mut Terminal<'_>, opened: Opened) -> Result<Opened, Failure> {
    if !opened.issuer.is_stale(terminal.now) {
        return Ok(opened);
    }
    refresh(terminal, &opened.issuer)?;
    verify(terminal, opened.program.bytes().to_vec())
}

/// The journal entry after this opening, not yet written.
fn remembered(terminal: &Terminal<'_>, opened: &Opened) -> Result<Entry, Failure> {
    let (facts, hash) = (opened.facts.clone(), opened.program.hash());
    match terminal.journal.entry(&opened.key)? {
        Some(known) => Ok(known.opened(facts, hash)?),
        None => Ok(Entry::new(facts, hash)),
    }
}

/// The receipt stored here, if it is for this very order and still verifies; if not, the server
/// is asked again by running the program.
fn stored_receipt(terminal: &Terminal<'_>, opened: &Opened) -> Result<Option<Proof>, Failure> {
    let stored = terminal.journal.receipt(&opened.key)?;
    let (issuer, key, facts) = (&opened.issuer, &opened.key, &opened.facts);
    Ok(stored.and_then(|bytes| settle::prove(&bytes, issuer, key, facts).ok()))
}

/// Refuses an order whose time is over, or has not come, by more than a clock may be off; in
/// between the server decides.
///
/// # Errors
/// `E_TIME`.
fn check_time(order: &Order, now: u64) -> Result<(), Failure> {
    let too_late = now > order.expires.saturating_add(CLOCK_TOLERANCE_S);
    let too_early = now.saturating_add(CLOCK_TOLERANCE_S) < order.created;
    if too_late || too_early {
        let (from, until) = (consent::utc(order.created), consent::utc(order.expires));
        return Err(Failure::with(
            "E_TIME",
            format!("valid from {from} until {until}"),
        ));
    }
    Ok(())
}

fn agree(
    terminal: &mut Terminal<'_>,
    consent: Consent,
    opened: &Opened,
    report: &mut Report,
) -> Result<(), Failure> {
    let screen = consent::screen(
        opened.program.order(),
        &opened.issuer,
        &terminal.zone,
        terminal.lang,
    );
    for line in &screen.lines {
        terminal.person.tell(line);
    }
    match consent {
        Consent::GivenByFlag => {
            terminal.tell("consent: given by --yes", "同意: --yes により指定済み");
            report.fact("consent", "given by --yes");
            Ok(())
        }
        Consent::Ask => match terminal.person.ask(screen.question) {
            Answer::Yes => {
                report.fact("consent", "given");
                Ok(())
            }
            Answer::No => Err(Failure::new("E_DECLINED")),
            Answer::Nobody => Err(Failure::new("E_NO_CONSENT")),
        },
    }
}

fn run(
    terminal: &mut Terminal<'_>,
    request: &Request,
    opened: &Opened,
    runner: Runner,
    report: &mut Report,
    record: &mut Record,
) -> Result<(Proof, Credited), Failure> {
    let order = opened.program.order();
    let card = card(terminal, request)?;
    let mut live = Live {
        card,
        channel: Channel::new(&opened.issuer.origin)?,
        journal: &terminal.journal,
        run: Run {
            key: &opened.key,
            facts: &opened.facts,
            scope: Scope {
                remittance: order.remittance,
                claim_token: order.claim_token,
            },
            watch: Watch::default(),
        },
        trouble: None,
        card_trouble: None,
        calls: Vec::new(),
        spent: None,
    };
    let ended = runner.run(&mut live);
    record.run(&live.calls, live.spent);
    let (watch, trouble, card_trouble) = (live.run.watch, live.trouble, live.card_trouble);
    report.fact("exchanges", watch.exchanges);
    report.fact("apdus", watch.apdus);
    // The receipt as the server sent it counts, whatever the program makes of it.
    let candidates = || watch.receipt.iter().chain(ended.as_ref().ok());
    let bytes = candidates().map(Vec::as_slice);
    let mut newest = |issuer: &Trusted| refresh(terminal, issuer);
    let newer = settle::renewed(&opened.issuer, bytes, &mut newest);
    let issuer = newer.as_ref().unwrap_or(&opened.issuer);
    if let Some(proof) = candidates()
        .filter_map(|bytes| settle::prove(bytes, issuer, &opened.key, &opened.facts).ok())
        .next()
    {
        terminal.journal.keep_receipt(&opened.key, &proof.bytes)?;
        let credited = if watch.credited_before() {
            Credited::Before
        } else {
            Credited::Now
        };
        return Ok((proof, credited));
    }
    let sandbox = match ended {
        Ok(_) => Failure::new("E_RECEIPT"),
        Err(error) => sandbox_failure(&error),
    };
    Err(effects::verdict(&watch, trouble, card_trouble, sandbox))
}

/// Connects to the card, and waits for it while there is a person to put it there.
fn card(terminal: &mut Terminal<'_>, request: &Request) -> Result<Connection, Failure> {
    let polls = match request.consent {
        Consent::Ask => CARD_POLLS_MAX,
        Consent::GivenByFlag => 0,
    };
    for poll in 0..polls {
        match card_reader::open(&request.reader) {
            Err(ReaderError::NoCard | ReaderError::NoReader) if poll == 0 => terminal.tell(
                "Place the card on the reader; waiting for it.",
                "カードをリーダーに置いてください。待っています。",
            ),
            Err(ReaderError::NoCard | ReaderError::NoReader) => {}
            result => return result.map_err(|error| effects::reader_failure(&error)),
        }
        std::thread::sleep(CARD_POLL);
    }
    card_reader::open(&request.reader).map_err(|error| effects::reader_failure(&error))
}

pub(crate) fn runner_command(terminal: &Terminal<'_>) -> RunnerCommand {
    RunnerCommand {
        program: terminal.executable.clone(),
        args: vec![OsString::from(RUNNER)],
        deadlines: Deadlines::default(),
        walls: terminal.walls,
    }
}

/// The words for what the sandbox reports when nothing more telling is known.
fn sandbox_failure(error: &RunError) -> Failure {
    let failure = Failure::new(error.code());
    match error {
        RunError::Failure(GaveUp::CardUnsupported) => Failure::new("E_CARD_UNSUPPORTED"),
        RunError::Failure(GaveUp::Order) => Failure::new("E_ORDER_FORM"),
        RunError::Failure(
            GaveUp::Reader | GaveUp::Network | GaveUp::Protocol | GaveUp::Refused,
        ) => failure.told_as("E_PROGRAM_FAILED"),
        RunError::Walls(walls) => Failure::with(error.code(), missing(*walls)),
        RunError::Start(_) | RunError::Lost | RunError::Protocol => failure.told_as("E_RUNNER"),
        RunError::Fault(Fault::Internal) => failure.told_as("E_RUNNER"),
        // Limits and traps, also those that a later sandbox adds.
        _ => failure.told_as("E_POLICY"),
    }
}

fn missing(walls: Walls) -> String {
    let names: Vec<_> = walls.missing().map(Wall::name).collect();
    names.join(", ")
}

/// Says that a mail has more attachments than the program, a signature of its own perhaps: nothing of
/// them counts.
fn tell_others(
    terminal: &mut Terminal<'_>,
    report: &mut Report,
    record: &mut Record,
    others: usize,
) {
    if others == 0 {
        return;
    }
    terminal.tell(
        &format!("Attachments beside the program that were not used: {others}."),
        &format!("プログラム以外の添付ファイル {others} 件は使用していません。"),
    );
    report.fact("attachments_unused", others);
    record.set("attachments_unused", others);
}

/// Says it where walls are missing and the rule accepts that.
fn tell_missing_walls(terminal: &mut Terminal<'_>, report: &mut Report, walls: Walls) {
    if walls.complete() {
        return;
    }
    let names = missing(walls);
    terminal.tell(
        &format!("This system lacks walls around the sandbox: {names}. `tegata doctor` explains."),
        &format!(
            "このシステムではサンドボックスの壁が欠けています: {names}。詳しくは `tegata doctor`。"
        ),
    );
    report.fact(
        "walls_missing",
        walls.missing().map(Wall::name).collect::<Vec<_>>(),
    );
}

/// The facts of the order, for the document.
pub(crate) fn describe(report: &mut Report, order: &Order) {
    report.fact("remittance", hex::id(&order.remittance));
    report.fact("issuer", order.issuer.as_str());
    report.fact("kind", order.kind.name());
    report.fact("amount_minor", order.amount.minor());
    report.fact("currency", order.amount.currency().code());
    report.fact("amount", order.amount.to_string());
    report.fact("card", order.card_masked.as_str());
    report.fact("sender", order.sender.as_str());
    report.fact("note", order.note.as_str());
    report.fact("expires", consent::utc(order.expires));
}

fn show_receipt(terminal: &Terminal<'_>, report: &mut Report, proof: &Proof, credited: Credited) {
    let debit = report.facts.get("kind").and_then(|kind| kind.as_str()) == Some(Kind::Debit.name());
    let title = match (credited, debit) {
        (Credited::Now, true) => {
            report.outcome = "debited";
            let paid = "Paid: the amount is off your card.";
            terminal.lang.pick(paid, "カードから引き落としました。")
        }
        (Credited::Before, true) => {
            report.outcome = "already-debited";
            terminal.lang.pick(
                "Paid already; nothing more was taken. This is the same receipt.",
                "引き落とし済みです。追加の引き落としはありません。同じ受領証を表示します。",
            )
        }
        (Credited::Now, false) => {
            report.outcome = "credited";
            terminal.lang.pick("Credited.", "入金しました。")
        }
        (Credited::Before, false) => {
            report.outcome = "already-credited";
            terminal.lang.pick(
                "Already credited; nothing was added. This is the same receipt.",
                "入金済みです。追加の入金はありません。同じ受領証を表示します。",
            )
        }
    };
    report.lines.push(title.to_owned());
    crate::receipts::describe(report, proof, &terminal.zone, terminal.lang);
}
