//! `holder email`: the addresses to which money can be sent to a holder.

use super::{Common, Output, open, output::table};
use crate::clock::{id_parts, rfc3339};
use anyhow::{Context, ensure};
use crashpoint::reach;
use ledger::{HolderId, MailId};
use serde_json::{Value, json};
use store::{AddressEvent, AddressRequest, PAGE_MAX, canonical_email};

/// Flags of `holder email`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub struct Email {
    /// Whose address
    id: String,
    #[command(flatten)]
    common: Common,
    /// Mail a code to this address; whoever enters it lets others send to the holder's card by it
    #[arg(long, value_name = "ADDRESS", group = "what")]
    set: Option<String>,
    /// Enter the code for the holder, as read to you from the mail
    #[arg(long, value_name = "CODE", group = "what", requires = "address")]
    verify: Option<String>,
    /// Let the address stand for this card of the holder
    #[arg(long, value_name = "CARD", group = "what", requires = "address")]
    default_card: Option<String>,
    /// Forget the address; what was ordered to it stays as it is
    #[arg(long, group = "what", requires = "address")]
    remove: bool,
    /// Show what happened to the holder's addresses, newest first
    #[arg(long, group = "what")]
    history: bool,
    /// The address that --verify, --default-card and --remove are about
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
}

pub(super) async fn run(args: Email) -> anyhow::Result<()> {
    let holder: HolderId = args.id.parse().context("the holder's id")?;
    let office = open(&args.common)?;
    let (store, now) = (&office.store, office.clock.now());
    let output = Output {
        json: args.common.json,
    };
    if args.history {
        let events = store.address_history(holder, PAGE_MAX).await?;
        return history(&events, output);
    }
    let typed = args.set.as_ref().or(args.address.as_ref());
    let typed = typed.context("name the address: --address ADDRESS")?;
    let email = canonical_email(typed).with_context(|| format!("`{typed}` is no mail address"))?;
    let said = if let Some(code) = &args.verify {
        let hash = office.keys.address_code_ref(code);
        let hash = hash.context("this is no code: 16 letters and digits, as in the mail")?;
        let verified = store.verify_address(email.clone(), hash, now).await?;
        ensure!(
            verified == Some(holder),
            "the code is wrong, used or too old; `--set {email}` mails a new one"
        );
        "verified"
    } else if let Some(card) = &args.default_card {
        let card = card.parse().context("the card's id")?;
        store
            .set_default_card(holder, email.clone(), Some(card), now)
            .await?;
        "default card set"
    } else if args.remove {
        store.remove_address(holder, email.clone(), now).await?;
        "removed"
    } else {
        let (ms, bits) = id_parts(now, &*office.random);
        let request = MailId::new(ms, bits);
        let code_hash = office
            .keys
            .address_code_ref(&office.keys.address_code(request));
        let asked = AddressRequest {
            holder,
            email: email.clone(),
            request,
            code_hash: code_hash.context("our own code is read back")?,
            now,
        };
        store.request_address(asked).await?;
        reach!("issuer::request-address::after-commit");
        "waits for its code; a running server mails it"
    };
    let text = format!("holder  {holder}\nemail   {email}: {said}");
    output.print(
        &text,
        json!({ "holder": holder.to_string(), "email": email, "done": said }),
    )
}

/// Prints what happened to the addresses of a holder.
fn history(events: &[AddressEvent], output: Output) -> anyhow::Result<()> {
    let rows: Vec<Vec<String>> = events
        .iter()
        .map(|event| {
            let card = event.card.map(|card| card.to_string());
            let at = rfc3339(event.at);
            vec![
                at,
                event.what.clone(),
                event.email.clone(),
                card.unwrap_or_default(),
            ]
        })
        .collect();
    let documents: Vec<Value> = events
        .iter()
        .map(|event| {
            json!({ "at": rfc3339(event.at), "what": event.what, "email": event.email,
                    "card": event.card.map(|card| card.to_string()) })
        })
        .collect();
    let text = table(&["at", "what", "email", "card"], &rows);
    output.print(&text, json!({ "history": documents }))
}
