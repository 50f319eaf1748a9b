//! Commands on files, and the end of a transaction.

use alloc::vec;
use alloc::vec::Vec;

use crate::device::{Card, Halt};
use crate::fault::Fault;
use crate::file::{Body, Operation, RecordBody, ValueBody};
use crate::params::{Params, u24_bytes};
use crate::transaction::Pending;

impl Card {
    /// The committed amount, whatever the transaction has changed so far.
    pub(crate) fn get_value(&mut self, ins: u8, mut params: Params<'_>) -> Result<Vec<u8>, Fault> {
        let number = params.byte()?;
        let value = self.value_file(number)?.value.to_le_bytes();
        self.note(&[&[ins, number], value.as_slice()].concat(), &[])?;
        Ok(value.to_vec())
    }

    /// Credit or debit: amount 4, not negative; the running result stays within the limits.
    pub(crate) fn change_value(
        &mut self,
        operation: Operation,
        ins: u8,
        mut params: Params<'_>,
    ) -> Result<Vec<u8>, Fault> {
        let (number, amount) = (params.byte()?, params.i32()?);
        params.end()?;
        let file = *self.value_file(number)?;
        if amount < 0 {
            return Err(Fault::Parameter);
        }
        let running = match self.transaction().pending(number) {
            Some(Pending::Value(running)) => *running,
            Some(Pending::Data(_) | Pending::Record(_)) | None => file.value,
        };
        let result = match operation {
            Operation::Credit => running.checked_add(amount),
            Operation::Debit => running.checked_sub(amount),
            Operation::ReadData
            | Operation::WriteData
            | Operation::ReadValue
            | Operation::ReadRecords
            | Operation::WriteRecord => return Err(Fault::PermissionDenied),
        };
        let result = result.filter(|value| (file.lower..=file.upper).contains(value));
        let result = result.ok_or(Fault::Boundary)?;
        self.note(
            &[&[ins, number], amount.to_le_bytes().as_slice()].concat(),
            &[],
        )?;
        self.transaction_mut().set(number, Pending::Value(result));
        Ok(Vec::new())
    }

    /// File number 1, offset 3, length 3 (0: to the end); committed content.
    pub(crate) fn read_data(&mut self, ins: u8, mut params: Params<'_>) -> Result<Vec<u8>, Fault> {
        let (number, offset, len) = (params.byte()?, params.u24()?, params.u24()?);
        let counter_file;
        let (content, noted) = match &self.application()?.file(number)?.body {
            Body::Standard(content) | Body::Backup(content) => (content.as_slice(), true),
            Body::TransactionMac(body) => {
                counter_file = body.content();
                (counter_file.as_slice(), false)
            }
            Body::Value(_) | Body::Records(_) => return Err(Fault::PermissionDenied),
        };
        let end = match len {
            0 => content.len(),
            len => offset.checked_add(len).ok_or(Fault::Boundary)?,
        };
        let data = content.get(offset..end).filter(|data| !data.is_empty());
        let data = data.ok_or(Fault::Boundary)?.to_vec();
        if noted {
            self.note(&range(ins, number, offset, data.len()), &data)?;
        }
        Ok(data)
    }

    /// File number 1, offset 3, length 3, data. A standard file changes at once.
    pub(crate) fn write_data(&mut self, ins: u8, mut params: Params<'_>) -> Result<Vec<u8>, Fault> {
        let (number, offset, len) = (params.byte()?, params.u24()?, params.u24()?);
        let data = params.rest();
        let application = self.application()?;
        let aid = application.aid;
        let body = &application.file(number)?.body;
        let standard = matches!(body, Body::Standard(_));
        let content = match (body, self.transaction().pending(number)) {
            (Body::Backup(_), Some(Pending::Data(shadow))) => shadow.as_slice(),
            (Body::Standard(content) | Body::Backup(content), _) => content.as_slice(),
            (Body::Value(_) | Body::Records(_) | Body::TransactionMac(_), _) => {
                return Err(Fault::PermissionDenied);
            }
        };
        let written = overwrite(content, offset, data)?;
        self.note(&range(ins, number, offset, len), data)?;
        if standard {
            let application = self.picc_mut().application_mut(aid);
            let application = application.ok_or(Fault::PermissionDenied)?;
            application.file_mut(number)?.body = Body::Standard(written.into());
        } else {
            self.transaction_mut().set(number, Pending::Data(written));
        }
        Ok(Vec::new())
    }

    /// File number 1, first record counted back from the newest 3, count 3 (0: all older ones).
    pub(crate) fn read_records(
        &mut self,
        ins: u8,
        mut params: Params<'_>,
    ) -> Result<Vec<u8>, Fault> {
        let (number, first, count) = (params.byte()?, params.u24()?, params.u24()?);
        let records = self.record_file(number)?.range(first, count)?;
        let count = records.len();
        let data: Vec<u8> = records
            .iter()
            .flat_map(|record| record.iter().copied())
            .collect();
        self.note(&range(ins, number, first, count), &data)?;
        Ok(data)
    }

    /// File number 1, offset 3, length 3, data: into the one record of this transaction.
    pub(crate) fn write_record(
        &mut self,
        ins: u8,
        mut params: Params<'_>,
    ) -> Result<Vec<u8>, Fault> {
        let (number, offset, len) = (params.byte()?, params.u24()?, params.u24()?);
        let data = params.rest();
        let file = self.record_file(number)?;
        if !file.cyclic && file.records.len() >= file.records_max {
            return Err(Fault::Boundary);
        }
        let record = match self.transaction().pending(number) {
            Some(Pending::Record(record)) => overwrite(record, offset, data)?,
            Some(Pending::Data(_) | Pending::Value(_)) | None => {
                overwrite(&vec![0; file.record_len], offset, data)?
            }
        };
        self.note(&range(ins, number, offset, len), data)?;
        self.transaction_mut().set(number, Pending::Record(record));
        Ok(Vec::new())
    }

    /// Makes the transaction's changes the content, all or none.
    ///
    /// Option 1 asks for counter 4 and MAC 8 of the application's Transaction MAC file.
    pub(crate) fn commit(&mut self, params: Params<'_>) -> Result<Vec<u8>, Halt> {
        let report = match params.rest() {
            [] | [0] => false,
            [1] => true,
            [..] => return Err(Fault::Parameter.into()),
        };
        if report && !self.application()?.has_transaction_mac() {
            return Err(Fault::PermissionDenied.into());
        }
        let mut changed = self.application()?.clone();
        let uid = self.picc().uid;
        let mac = self.take_transaction().apply(&mut changed, &uid)?;
        self.power_before_commit()?;
        let aid = changed.aid;
        let place = self
            .picc_mut()
            .application_mut(aid)
            .ok_or(Fault::PermissionDenied)?;
        *place = changed;
        self.power_after_commit()?;
        Ok(match mac {
            Some(mac) if report => [mac.counter.to_le_bytes().as_slice(), &mac.mac].concat(),
            Some(_) | None => Vec::new(),
        })
    }

    /// Forgets the transaction's changes; [`Fault::NoChange`] when there are none.
    pub(crate) fn abort(&mut self) -> Result<Vec<u8>, Fault> {
        if self.take_transaction().is_empty() {
            Err(Fault::NoChange)
        } else {
            Ok(Vec::new())
        }
    }

    fn value_file(&self, number: u8) -> Result<&ValueBody, Fault> {
        match &self.application()?.file(number)?.body {
            Body::Value(body) => Ok(body),
            Body::Standard(_) | Body::Backup(_) | Body::Records(_) | Body::TransactionMac(_) => {
                Err(Fault::PermissionDenied)
            }
        }
    }

    fn record_file(&self, number: u8) -> Result<&RecordBody, Fault> {
        match &self.application()?.file(number)?.body {
            Body::Records(body) => Ok(body),
            Body::Standard(_) | Body::Backup(_) | Body::Value(_) | Body::TransactionMac(_) => {
                Err(Fault::PermissionDenied)
            }
        }
    }

    fn note(&mut self, header: &[u8], data: &[u8]) -> Result<(), Fault> {
        if self.application()?.has_transaction_mac() {
            self.transaction_mut().note([header, data])?;
        }
        Ok(())
    }
}

/// Command header as the transaction MAC sees it: command, file, two 3-byte numbers.
fn range(ins: u8, number: u8, first: usize, second: usize) -> Vec<u8> {
    let mut out = vec![ins, number];
    out.extend(u24_bytes(first));
    out.extend(u24_bytes(second));
    out
}

/// `content` with `data` at `offset`; [`Fault::Boundary`] when it does not fit.
fn overwrite(content: &[u8], offset: usize, data: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut out = content.to_vec();
    let end = offset.checked_add(data.len()).ok_or(Fault::Boundary)?;
    out.get_mut(offset..end)
        .ok_or(Fault::Boundary)?
        .copy_from_slice(data);
    Ok(out)
}
