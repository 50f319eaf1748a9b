//! Values on PostgreSQL's wire.

use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, private::BytesMut};

use super::Value;
use crate::sql::fault::Fault;

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        to: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let int = match self {
            Value::Null => return Ok(IsNull::Yes),
            Value::Text(text) => return text.to_sql(to, out),
            Value::Blob(blob) => return blob.to_sql(to, out),
            Value::Int(int) => *int,
            Value::Bool(bool) => i64::from(*bool),
        };
        match *to {
            Type::BOOL => (int != 0).to_sql(to, out),
            Type::INT4 => i32::try_from(int)?.to_sql(to, out),
            _ => int.to_sql(to, out),
        }
    }

    fn accepts(to: &Type) -> bool {
        [Type::BOOL, Type::INT4, Type::INT8, Type::TEXT, Type::BYTEA].contains(to)
    }

    fn to_sql_checked(
        &self,
        to: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let fits = match self {
            Value::Null => true,
            Value::Int(_) | Value::Bool(_) => [Type::BOOL, Type::INT4, Type::INT8].contains(to),
            Value::Text(_) => *to == Type::TEXT,
            Value::Blob(_) => *to == Type::BYTEA,
        };
        if !fits {
            return Err(format!("{self:?} does not go into {to}").into());
        }
        self.to_sql(to, out)
    }
}

/// A column as PostgreSQL sends it.
struct Column<'a>(Value<'a>);

impl<'a> FromSql<'a> for Column<'a> {
    fn from_sql(
        from: &Type,
        raw: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(match *from {
            Type::BOOL => Value::Bool(bool::from_sql(from, raw)?),
            Type::INT4 => Value::Int(i32::from_sql(from, raw)?.into()),
            Type::INT8 => Value::Int(i64::from_sql(from, raw)?),
            Type::BYTEA => Value::Blob(raw),
            _ => Value::Text(core::str::from_utf8(raw)?),
        }))
    }

    fn accepts(from: &Type) -> bool {
        [Type::BOOL, Type::INT4, Type::INT8, Type::TEXT, Type::BYTEA].contains(from)
    }
}

pub(super) fn value(row: &tokio_postgres::Row, column: usize) -> Result<Value<'_>, Fault> {
    let found: Option<Column<'_>> = row.try_get(column).map_err(|_| Fault::Corrupt("column"))?;
    Ok(found.map_or(Value::Null, |column| column.0))
}
