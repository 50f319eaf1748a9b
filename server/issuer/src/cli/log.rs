//! `audit export | verify | head`: the audit log out of the house, and checked without it.

use super::{Common, Output, open, output::stdout};
use crate::{app::Office, clock::rfc3339, files};
use anyhow::{Context, bail, ensure};
use audit_log::{
    Finding, HEADER, Head, Item, Known, LINE_LEN_MAX, Link, Record, Standing, Subject, Verdict,
    Verifier, head_line, parse, record_line,
};
use clap::Subcommand;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use ledger::Timestamp;
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};
use wire::{
    descriptor::{DESCRIPTOR_LEN_MAX, Descriptor, Purpose, fingerprint},
    signed::{KEY_ID_LEN, key_id},
};

/// The audit log.
#[derive(Debug, Subcommand)]
pub enum Log {
    /// Write the audit log, sealed or not, as lines
    #[command(after_help = "Examples:
  tegata-server audit export --data ./issuer --out audit.log
  tegata-server audit export --data ./issuer | gzip > audit.log.gz")]
    Export(Export),
    /// Check an exported log; needs the file and the issuer's audit key, no database
    #[command(
        after_help = "Exit code 1 when the log is not as it was sealed (the first fault is named), or cannot be checked.

Examples:
  tegata-server audit verify audit.log --descriptor tegata-issuer
  tegata-server audit verify audit.log --key 3b6a27bc... --head yesterday.head
  gunzip -c audit.log.gz | tegata-server audit verify - --key 3b6a27bc... --list"
    )]
    Verify(Verify),
    /// Print the newest signed head, to be kept away from this machine
    #[command(after_help = "Example:
  tegata-server audit head --data ./issuer > 2026-01-31.head")]
    Head(#[command(flatten)] Common),
}

/// Flags of `audit export`.
#[derive(Debug, clap::Args)]
pub struct Export {
    #[command(flatten)]
    common: Common,
    /// File to write, which must not exist yet [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Flags of `audit verify`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("trust").required(true).multiple(true))]
pub struct Verify {
    /// The exported log; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A public audit key, 64 hexadecimal digits (`keys list --json` shows it)
    #[arg(long, value_name = "KEY", group = "trust")]
    key: Vec<String>,
    /// The issuer's descriptor, as /.well-known/tegata-issuer serves it
    #[arg(long, value_name = "FILE", group = "trust")]
    descriptor: Option<PathBuf>,
    /// A head that is known from elsewhere: the log must contain it
    #[arg(long, value_name = "FILE")]
    head: Option<PathBuf>,
    /// Print every record that continues the chain
    #[arg(long, conflicts_with = "json")]
    list: bool,
    /// Print one JSON document instead of text
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(command: Log) -> anyhow::Result<ExitCode> {
    match command {
        Log::Export(args) => export(&args).await,
        Log::Verify(args) => verify(&args),
        Log::Head(common) => head(&common).await,
    }
}

// --- export ---

/// What was written.
#[derive(Debug, Default)]
struct Written {
    link: Option<Link>,
    heads: u64,
    sealed: u64,
}

impl Written {
    fn position(&self) -> u64 {
        self.link.map_or(0, |link| link.position)
    }
}

async fn export(args: &Export) -> anyhow::Result<ExitCode> {
    let office = open(&args.common)?;
    let Some(path) = &args.out else {
        ensure!(
            !args.common.json,
            "--json goes with --out: the log itself is no document"
        );
        let mut out = BufWriter::new(stdout());
        write(&office, &mut out).await?;
        return Ok(ExitCode::SUCCESS);
    };
    let name = || path.display().to_string();
    let mut options = File::options();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    let mut out = BufWriter::new(file.with_context(name)?);
    let written = write(&office, &mut out).await.with_context(name)?;
    out.get_ref().sync_all().with_context(name)?;
    let unsealed = written.position().saturating_sub(written.sealed);
    let text = format!(
        "{} records in {} heads, {unsealed} not sealed yet",
        written.position(),
        written.heads
    );
    let document = json!({
        "records": written.position(),
        "heads": written.heads,
        "unsealed": unsealed,
    });
    let json = args.common.json;
    Output { json }.print(&text, document)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the log as it stands, a segment at a time, while it may be sealed on.
async fn write(office: &Office, out: &mut impl Write) -> anyhow::Result<Written> {
    writeln!(out, "{HEADER}")?;
    let mut written = Written::default();
    loop {
        while let Some(segment) = office.store.log_segment(written.heads + 1).await? {
            for (position, logged) in (segment.first..).zip(&segment.records) {
                let hash = logged.hash;
                let link = Link { position, hash };
                if position > written.position() {
                    writeln!(out, "{}", record_line(&logged.record, link))?;
                    written.link = Some(link);
                }
            }
            writeln!(out, "{}", head_line(&segment.head))?;
            written.heads = segment.number;
            written.sealed = segment.link.position;
        }
        if tail(office, out, &mut written).await? {
            out.flush()?;
            return Ok(written);
        }
    }
}

/// Writes what is not sealed yet; false where it was sealed meanwhile.
async fn tail(
    office: &Office,
    out: &mut impl Write,
    written: &mut Written,
) -> anyhow::Result<bool> {
    let mut after = 0;
    loop {
        let page = office.store.log_unsealed(after).await?;
        if page.number != written.heads {
            return Ok(false);
        }
        if page.records.is_empty() {
            return Ok(true);
        }
        for record in &page.records {
            let link = written.link.unwrap_or(Link::START).next(record);
            writeln!(out, "{}", record_line(record, link))?;
            written.link = Some(link);
        }
        after = page.through;
    }
}

// --- head ---

async fn head(common: &Common) -> anyhow::Result<ExitCode> {
    let office = open(common)?;
    let last = office.store.log_last().await?;
    let last = last.context("nothing is sealed yet: `tegata-server serve` seals")?;
    let line = head_line(&last.head);
    let document = json!({
        "number": last.number,
        "last": last.link.position,
        "hash": HEXLOWER.encode(&last.link.hash),
        "line": line,
    });
    Output { json: common.json }.print(&line, document)?;
    Ok(ExitCode::SUCCESS)
}

// --- verify ---

/// The audit keys of an issuer.
struct Keys(Vec<([u8; 32], bool)>);

impl Keys {
    fn standing(&self, id: &[u8; KEY_ID_LEN]) -> Standing {
        match self.0.iter().find(|(key, _)| key_id(key) == *id) {
            Some((key, false)) => Standing::Accepted(*key),
            Some((key, true)) => Standing::Revoked(*key),
            None => Standing::Unknown,
        }
    }
}

fn keys(args: &Verify) -> anyhow::Result<(Keys, Option<String>)> {
    let mut keys = Vec::new();
    for text in &args.key {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
        let key = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        keys.push((key.context("--key wants 64 hexadecimal digits")?, false));
    }
    let Some(path) = &args.descriptor else {
        return Ok((Keys(keys), None));
    };
    let name = || path.display().to_string();
    let bytes = files::read_at_most(path, DESCRIPTOR_LEN_MAX).with_context(name)?;
    let descriptor = Descriptor::verify_first_contact(&bytes).with_context(name)?;
    let audit = descriptor
        .keys
        .iter()
        .filter(|key| key.purpose == Purpose::Audit);
    keys.extend(audit.map(|key| (key.public, key.revoked_at.is_some())));
    Ok((Keys(keys), Some(fingerprint(&descriptor.root))))
}

/// The first head in a file: `audit head` prints one, a log has many.
fn known(path: &Path, keys: &Keys) -> anyhow::Result<Known> {
    let name = || path.display().to_string();
    let mut reader = BufReader::new(File::open(path).with_context(name)?);
    let mut line = Vec::new();
    while next_line(&mut reader, &mut line)
        .with_context(name)?
        .is_some()
    {
        if let Some(Item::Head(envelope)) = parse(&line) {
            let known = Known::open(&envelope, |id| keys.standing(id));
            return known
                .context("a head that no audit key signed")
                .with_context(name);
        }
    }
    bail!("{}: holds no head; `audit head` prints one", name())
}

/// Reads the next line without its end, cut after [`LINE_LEN_MAX`]; tells whether it was ended.
fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<bool>> {
    line.clear();
    let max = u64::try_from(LINE_LEN_MAX).unwrap_or(u64::MAX);
    if reader
        .by_ref()
        .take(max.saturating_add(1))
        .read_until(b'\n', line)?
        == 0
    {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(Some(true));
    }
    if line.len() <= LINE_LEN_MAX {
        return Ok(Some(false));
    }
    // too long to be one of ours: the rest of it is passed over
    loop {
        let rest = reader.fill_buf()?;
        let end = rest.iter().position(|byte| *byte == b'\n');
        let (len, last) = (rest.len(), rest.is_empty() || end.is_some());
        reader.consume(end.map_or(len, |end| end.saturating_add(1)));
        if last {
            return Ok(Some(true));
        }
    }
}

fn verify(args: &Verify) -> anyhow::Result<ExitCode> {
    let (keys, root) = keys(args)?;
    let known = args
        .head
        .as_deref()
        .map(|path| known(path, &keys))
        .transpose()?;
    let name = || args.file.display().to_string();
    let verdict = if args.file.as_os_str() == "-" {
        read(io::stdin().lock(), &keys, known, args.list)
    } else {
        let file = File::open(&args.file).with_context(name)?;
        read(BufReader::new(file), &keys, known, args.list)
    };
    let verdict = verdict.with_context(name)?;
    let text = report(&verdict, root.as_deref());
    Output { json: args.json }.print(&text, document(&verdict, root.as_deref()))?;
    Ok(match verdict.finding {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::FAILURE,
    })
}

fn read(
    mut reader: impl BufRead,
    keys: &Keys,
    known: Option<Known>,
    list: bool,
) -> io::Result<Verdict> {
    let mut verifier = Verifier::new(|id: &[u8; KEY_ID_LEN]| keys.standing(id), known);
    let mut line = Vec::new();
    let mut out = BufWriter::new(stdout());
    let mut position = 0_u64;
    while let Some(ended) = next_line(&mut reader, &mut line)? {
        let Some(record) = verifier.line(&line, ended) else {
            continue;
        };
        position = position.saturating_add(1);
        if list {
            writeln!(out, "{position}  {}", shown(&record))?;
        }
    }
    out.flush()?;
    Ok(verifier.finish())
}

/// A record for a person.
fn shown(bytes: &[u8]) -> String {
    let Ok(record) = Record::decode(bytes) else {
        return format!("unknown  {}", HEXLOWER.encode(bytes));
    };
    let fields = record.change.show().into_iter();
    let fields: Vec<_> = fields
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let (at, kind) = (rfc3339(record.at), record.change.name());
    format!("{at}  {kind}  {}", fields.join(" "))
}

fn report(verdict: &Verdict, root: Option<&str>) -> String {
    let mut lines = Vec::new();
    if let Some(root) = root {
        lines.push(format!(
            "issuer's fingerprint  {root}  (compare it with the one you know)"
        ));
    }
    lines.push(format!(
        "{} records in {} heads, {} not sealed yet",
        verdict.records, verdict.heads, verdict.unsealed
    ));
    if let Some(head) = &verdict.head {
        lines.push(format!(
            "head {} of {} covers {} records, {}",
            head.number,
            head.issuer,
            head.link.position,
            seconds(head)
        ));
    }
    if verdict.revoked_heads > 0 {
        let count = verdict.revoked_heads;
        lines.push(format!(
            "{count} heads are of a revoked key and seal nothing"
        ));
    }
    lines.push(match &verdict.finding {
        None => "log whole".to_owned(),
        Some(finding) => format!(
            "log NOT whole: {} was {} (line {})\n\
             everything before that is as it was sealed; {}",
            subject(finding),
            finding.what.code(),
            finding.line,
            match finding.subject {
                Subject::Head(_) => "a head that none of the given keys signed counts as altered",
                Subject::Header | Subject::Record(_) => "compare with another copy of the log",
            }
        ),
    });
    lines.join("\n")
}

fn subject(finding: &Finding) -> String {
    match finding.subject {
        Subject::Header => "the first line".to_owned(),
        Subject::Record(position) => format!("record {position}"),
        Subject::Head(number) => format!("head {number}"),
    }
}

fn seconds(head: &Head) -> String {
    rfc3339(Timestamp::from_unix_s(
        i64::try_from(head.sealed_at).unwrap_or(i64::MAX),
    ))
}

fn document(verdict: &Verdict, root: Option<&str>) -> Value {
    let head = verdict.head.as_ref().map(|head| {
        json!({
            "issuer": head.issuer,
            "number": head.number,
            "last": head.link.position,
            "hash": HEXLOWER.encode(&head.link.hash),
            "sealed_at": seconds(head),
        })
    });
    let finding = verdict.finding.as_ref().map(|finding| {
        let (kind, number) = match finding.subject {
            Subject::Header => ("header", 0),
            Subject::Record(position) => ("record", position),
            Subject::Head(number) => ("head", number),
        };
        json!({
            "code": finding.what.code(),
            "subject": kind,
            "number": number,
            "line": finding.line,
        })
    });
    json!({
        "whole": verdict.finding.is_none(),
        "finding": finding,
        "records": verdict.records,
        "heads": verdict.heads,
        "revoked_heads": verdict.revoked_heads,
        "unsealed": verdict.unsealed,
        "head": head,
        "fingerprint": root,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_longest_length_is_read_and_a_longer_one_passed_over() {
        let longest = vec![b'a'; LINE_LEN_MAX];
        let longer = vec![b'b'; 3 * LINE_LEN_MAX];
        let file = [&longest[..], b"\n", &longer, b"\n", b"c"].concat();
        let mut reader = BufReader::with_capacity(100, &file[..]);
        let mut line = Vec::new();
        assert_eq!(next_line(&mut reader, &mut line).unwrap(), Some(true));
        assert_eq!(line, longest);
        assert_eq!(next_line(&mut reader, &mut line).unwrap(), Some(true));
        assert_eq!(
            line.len(),
            LINE_LEN_MAX + 1,
            "cut, and longer than any of ours"
        );
        assert_eq!(next_line(&mut reader, &mut line).unwrap(), Some(false));
        assert_eq!(line, b"c");
        assert_eq!(next_line(&mut reader, &mut line).unwrap(), None);
    }
}
