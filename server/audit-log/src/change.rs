//! What may happen: one table of kinds, each with its number, its name and its fields.

use alloc::string::String;
use alloc::vec::Vec;

use ledger::{
    CardId, CardStatus, HolderId, MailId, Refusal, RemittanceId, ReturnReason, Timestamp, TokenId,
    TransferId, UnfundedReason, WebhookId,
};
use money::{Amount, Currency};
use wire::cbor::{self, DecodeError, EncodeStep, Encoder, Reader};

use crate::field::{Field, Side};

/// Longest record, in bytes: the longest kind takes below 250.
pub const RECORD_LEN_MAX: usize = 1_024;

macro_rules! changes {
    ($(
        $(#[$doc:meta])*
        $number:literal $name:literal $variant:ident {
            $( $(#[$field_doc:meta])* $field:ident: $type:ty, )*
        }
    )*) => {
        /// A change of state. Figures, ids and hashes; no name, address or card number, since a
        /// record can never be taken out again.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Change {
            $( $(#[$doc])* $variant { $( $(#[$field_doc])* $field: $type, )* }, )*
        }

        impl Change {
            /// Number, name and fields of every kind. A number is never used again.
            pub const KINDS: &'static [(u16, &'static str, &'static [&'static str])] =
                &[$( ($number, $name, &[$( stringify!($field), )*]), )*];

            /// The kind's number: what is stored.
            #[must_use]
            pub const fn number(&self) -> u16 {
                match self {
                    $( Self::$variant { .. } => $number, )*
                }
            }

            /// The kind's name: what people read.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $( Self::$variant { .. } => $name, )*
                }
            }

            /// The fields by name, as text.
            #[must_use]
            pub fn show(&self) -> Vec<(&'static str, String)> {
                match self {
                    $( Self::$variant { $( $field, )* } => {
                        [$( (stringify!($field), $field.show()), )*].into()
                    } )*
                }
            }

            fn write(&self, e: &mut Encoder) -> EncodeStep {
                match self {
                    $( Self::$variant { $( $field, )* } => {
                        $( $field.write(e)?; )*
                        Ok(())
                    } )*
                }
            }

            fn read(number: u16, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                match number {
                    $( $number => Ok(Self::$variant {
                        $( $field: <$type as Field>::read(reader, stringify!($field))?, )*
                    }), )*
                    _ => Err(DecodeError::Bounds { field: "kind" }),
                }
            }
        }
    };
}

changes! {
    /// A transfer was posted.
    1 "posted" Posted {
        /// Its id.
        transfer: TransferId,
        /// The account that gave.
        from: Side,
        /// The account that got.
        to: Side,
        /// How much.
        amount: Amount,
    }
    /// A holder was added, with an empty account.
    2 "holder-added" HolderAdded {
        /// Who.
        holder: HolderId,
        /// Currency of the account.
        currency: Currency,
        /// Whether a mail address is known.
        address: bool,
        /// Whether a bearer token was given out.
        token: bool,
    }
    /// The mail address of a holder changed.
    3 "holder-address" HolderAddress {
        /// Whose.
        holder: HolderId,
        /// Whether there is one now.
        address: bool,
    }
    /// A card is about to be personalised.
    4 "card-issuing" CardIssuing {
        /// Which.
        card: CardId,
        /// Whose it will be.
        holder: HolderId,
        /// Its currency.
        currency: Currency,
        /// The most it may hold, minor units.
        value_max: i64,
    }
    /// A card is in use.
    5 "card-active" CardActive {
        /// Which.
        card: CardId,
    }
    /// A card was blocked.
    6 "card-blocked" CardBlocked {
        /// Which.
        card: CardId,
    }
    /// A card showed what nothing explains.
    7 "card-frozen" CardFrozen {
        /// Which.
        card: CardId,
        /// Its status since.
        status: CardStatus,
        /// What was in flight on it.
        in_flight: Option<RemittanceId>,
        /// SHA-256 of the evidence that is kept.
        evidence: [u8; 32],
    }
    /// An order was placed.
    8 "ordered" Ordered {
        /// Its remittance.
        remittance: RemittanceId,
        /// Who pays.
        sender: HolderId,
        /// The card it is bound to.
        card: CardId,
        /// How much.
        amount: Amount,
        /// From when on it goes back.
        expires: Timestamp,
        /// Revision of the order bytes.
        revision: u32,
        /// SHA-256 of the order bytes.
        order: [u8; 32],
        /// The public key that the program verifies with.
        program_key: [u8; 32],
    }
    /// An order was refused, and the refusal kept for its idempotency key.
    9 "order-refused" OrderRefused {
        /// Who asked.
        sender: HolderId,
        /// Hash of what was asked for.
        content: [u8; 32],
        /// The answer.
        refusal: Refusal,
    }
    /// A batch with a commit left for a card.
    10 "commit-sent" CommitSent {
        /// What it credits.
        remittance: RemittanceId,
        /// The card.
        card: CardId,
        /// The number that STATE gets.
        seq: u32,
        /// The card's epoch since.
        epoch: u64,
        /// VALUE before, minor units.
        balance_before: i64,
    }
    /// The sender wants back what is in flight.
    11 "cancel-asked" CancelAsked {
        /// Which.
        remittance: RemittanceId,
    }
    /// The card proved that it does not hold the value.
    12 "proven-absent" ProvenAbsent {
        /// Which.
        remittance: RemittanceId,
    }
    /// The card proved that it holds the value.
    13 "credited" Credited {
        /// Which.
        remittance: RemittanceId,
        /// The card.
        card: CardId,
        /// Number of the remittance in STATE.
        seq: u32,
        /// Number of the payment in STATE.
        payment_seq: u32,
        /// VALUE, minor units.
        value: i64,
        /// SHA-256 of the signed receipt.
        receipt: [u8; 32],
    }
    /// The value went back to the sender.
    14 "returned" Returned {
        /// Which.
        remittance: RemittanceId,
        /// Why.
        reason: ReturnReason,
    }
    /// A template was kept, from which programs are rebuilt.
    15 "template-kept" TemplateKept {
        /// Its SHA-256.
        template: [u8; 32],
    }
    /// A mail was handed to the next mail server.
    16 "mail-sent" MailSent {
        /// Which.
        mail: MailId,
    }
    /// A mail was given up.
    17 "mail-failed" MailFailed {
        /// Which.
        mail: MailId,
    }
    /// A signing key is in use.
    18 "key-added" KeyAdded {
        /// The public key.
        key: [u8; 32],
        /// What it signs, as in the issuer descriptor.
        purpose: u16,
        /// First second of its validity, Unix time.
        not_before: u64,
        /// Last second of its validity, Unix time.
        not_after: u64,
    }
    /// A signing key was revoked.
    19 "key-revoked" KeyRevoked {
        /// The public key.
        key: [u8; 32],
        /// When, Unix time.
        revoked_at: u64,
    }
    /// A backup was restored: what follows does not know what came after it.
    20 "restored" Restored {
        /// SHA-256 of the new incarnation.
        incarnation: [u8; 32],
    }
    /// A remittance waits for its card since a restore.
    21 "recovering" Recovering {
        /// Which.
        remittance: RemittanceId,
    }
    /// A receipt of ours credited what was recovering.
    22 "receipt-shown" ReceiptShown {
        /// Which.
        remittance: RemittanceId,
        /// The card.
        card: CardId,
        /// SHA-256 of the signed receipt.
        receipt: [u8; 32],
    }
    /// The log of a card names a remittance as credited since the backup.
    23 "credited-by-log" CreditedByLog {
        /// Which.
        remittance: RemittanceId,
        /// The card.
        card: CardId,
        /// SHA-256 of the signed receipt.
        receipt: [u8; 32],
    }
    /// A card was read for the first time since a restore.
    24 "card-reread" CardReread {
        /// Which.
        card: CardId,
        /// Number of the remittance in STATE.
        seq: u32,
        /// Number of the payment in STATE.
        payment_seq: u32,
        /// VALUE, minor units.
        value: i64,
    }
    /// The bank account that a holder's orders are paid from changed.
    25 "bank-account" BankAccount {
        /// Whose.
        holder: HolderId,
        /// Whether there is one now.
        known: bool,
    }
    /// The bank is about to be asked for the amount of an order.
    26 "bank-asked" BankAsked {
        /// Which.
        remittance: RemittanceId,
    }
    /// The amount of an order came into escrow after it was placed.
    27 "funded" Funded {
        /// Which.
        remittance: RemittanceId,
    }
    /// An order ended before its amount came into escrow.
    28 "unfunded" Unfunded {
        /// Which.
        remittance: RemittanceId,
        /// Why.
        reason: UnfundedReason,
    }
    /// The bank is about to be told to take an amount back.
    29 "refunding" Refunding {
        /// Which.
        remittance: RemittanceId,
        /// Why.
        reason: ReturnReason,
    }
    /// The program of an open remittance was replaced; the card's epoch rose by one.
    30 "revised" Revised {
        /// Which.
        remittance: RemittanceId,
        /// Revision of the order bytes.
        revision: u32,
        /// SHA-256 of the order bytes.
        order: [u8; 32],
        /// The public key that the program verifies with.
        program_key: [u8; 32],
        /// SHA-256 of the template.
        template: [u8; 32],
    }
    /// A template was withdrawn.
    31 "template-withdrawn" TemplateWithdrawn {
        /// Its SHA-256.
        template: [u8; 32],
    }
    /// How card accounts are kept changed.
    32 "accounts-switched" AccountsSwitched {
        /// Whether they share one pool from now on.
        pooled: bool,
    }
    /// A person may decide with another from now on.
    33 "officer-added" OfficerAdded {
        /// SHA-256 of the name.
        officer: [u8; 32],
    }
    /// A person no longer decides.
    34 "officer-withdrawn" OfficerWithdrawn {
        /// SHA-256 of the name.
        officer: [u8; 32],
    }
    /// Two persons closed a remittance in doubt.
    35 "closed-in-doubt" ClosedInDoubt {
        /// Which.
        remittance: RemittanceId,
        /// Its card.
        card: CardId,
        /// SHA-256 of both names and the reason, each ended by a zero byte.
        approval: [u8; 32],
    }
    /// Two persons took what a card says into the books.
    36 "case-adopted" CaseAdopted {
        /// Number of the case.
        case: u64,
        /// Its card.
        card: CardId,
        /// Number of the remittance in STATE.
        seq: u32,
        /// Number of the payment in STATE.
        payment_seq: u32,
        /// VALUE, minor units.
        value: i64,
        /// What `written-off` gave to the card account, minor units.
        adjusted: i64,
        /// SHA-256 of all that was read.
        evidence: [u8; 32],
        /// SHA-256 of both names and the reason, each ended by a zero byte.
        approval: [u8; 32],
    }
    /// Two persons closed a case by blocking its card.
    37 "case-blocked" CaseBlocked {
        /// Number of the case.
        case: u64,
        /// Its card.
        card: CardId,
        /// SHA-256 of both names and the reason, each ended by a zero byte.
        approval: [u8; 32],
    }
    /// A card was reported lost.
    38 "card-lost" CardLost {
        /// Which.
        card: CardId,
    }
    /// What a lost card held is owed to its holder.
    39 "paid-out" PaidOut {
        /// Which.
        card: CardId,
        /// How much, minor units.
        minor: i64,
    }
    /// A mail address is to be verified.
    40 "address-asked" AddressAsked {
        /// Whose.
        holder: HolderId,
        /// Names the verification.
        request: MailId,
    }
    /// A wrong code was entered for a mail address.
    41 "address-tried" AddressTried {
        /// The verification.
        request: MailId,
        /// Tries that are left.
        left: u32,
    }
    /// A mail address stands for a card of its holder from now on.
    42 "address-verified" AddressVerified {
        /// Whose.
        holder: HolderId,
        /// The verification.
        request: MailId,
    }
    /// The default card of a mail address changed.
    43 "address-card" AddressCard {
        /// Whose.
        holder: HolderId,
        /// The verification of the address.
        request: MailId,
        /// The card; none for the only active one.
        card: Option<CardId>,
    }
    /// A mail address was forgotten.
    44 "address-removed" AddressRemoved {
        /// Whose.
        holder: HolderId,
        /// The verification of the address.
        request: MailId,
    }
    /// An order to an address that nobody has verified is held; `ordered` follows once it has a card.
    45 "invited" Invited {
        /// Its id, and that of the remittance that it becomes.
        remittance: RemittanceId,
        /// Who pays.
        sender: HolderId,
        /// How much.
        amount: Amount,
        /// From when on it goes back.
        expires: Timestamp,
    }
    /// Two persons gave back an invitation that waited since a restore.
    46 "invitation-closed" InvitationClosed {
        /// Which.
        remittance: RemittanceId,
        /// SHA-256 of both names and the reason, each ended by a zero byte.
        approval: [u8; 32],
    }
    /// Two persons approved the change that the next record names.
    47 "approved" Approved {
        /// Number of their decision.
        decision: u64,
        /// SHA-256 of both names and the reason, each ended by a zero byte.
        approval: [u8; 32],
    }
    /// How long after its report a lost card is paid out changed.
    48 "settle-window" SettleWindow {
        /// From now on.
        seconds: u32,
    }
    /// A bearer token was given out besides the one that a holder began with.
    49 "token-added" TokenAdded {
        /// Whose.
        holder: HolderId,
        /// Which.
        token: TokenId,
        /// What it may do, one bit each: 1 `orders:read`, 2 `orders:write`, 4 `webhooks:manage`; 0 all.
        scopes: u32,
    }
    /// A bearer token opens nothing any more.
    50 "token-revoked" TokenRevoked {
        /// Whose.
        holder: HolderId,
        /// Which.
        token: TokenId,
    }
    /// An endpoint hears of its holder's orders from this record on.
    51 "webhook-added" WebhookAdded {
        /// Which.
        webhook: WebhookId,
        /// Whose orders.
        holder: HolderId,
        /// SHA-256 of its address.
        url: [u8; 32],
    }
    /// An endpoint was forgotten, with what was on its way to it.
    52 "webhook-removed" WebhookRemoved {
        /// Which.
        webhook: WebhookId,
    }
    /// An endpoint got another secret.
    53 "webhook-secret" WebhookSecret {
        /// Which.
        webhook: WebhookId,
        /// Number of the secret, from 0.
        secret: u32,
    }
    /// An endpoint is not told of events any more, or again.
    54 "webhook-switched" WebhookSwitched {
        /// Which.
        webhook: WebhookId,
        /// Whether it is.
        enabled: bool,
    }
}

/// One change with the ledger's time of its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// When.
    pub at: Timestamp,
    /// What.
    pub change: Change,
}

impl Record {
    /// The canonical bytes: a CBOR array of time, number of the kind, then the fields in the
    /// order of [`Change::KINDS`]; at most [`RECORD_LEN_MAX`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(|e| {
            e.array(self.elements())?;
            self.at.write(e)?;
            e.u16(self.change.number())?;
            self.change.write(e)
        })
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// Each variant of [`DecodeError`]; [`DecodeError::Bounds`] for `kind` where a later version
    /// wrote a kind that this one does not know.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        cbor::decode(bytes, RECORD_LEN_MAX, Self::read, Self::encode)
    }

    fn elements(&self) -> u64 {
        let number = self.change.number();
        let fields = Change::KINDS.iter().find(|kind| kind.0 == number);
        fields.map_or(2, |kind| (kind.2.len() as u64).saturating_add(2))
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        // the exact number of elements is held against the encoder afterwards
        reader.array_within("record", 2..=16)?;
        let at = Timestamp::read(reader, "at")?;
        let number = reader.u16("kind")?;
        let change = Change::read(number, reader)?;
        Ok(Self { at, change })
    }
}
