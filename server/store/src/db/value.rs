//! What goes into statements and comes out of rows.

use crate::sql::fault::Fault;

/// One value, borrowed from whoever gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Null,
    Int(i64),
    Bool(bool),
    Text(&'a str),
    Blob(&'a [u8]),
}

/// One value of its own. PostgreSQL keeps truth values as numbers, as SQLite does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Held {
    Null,
    Int(i64),
    Text(Box<str>),
    Blob(Box<[u8]>),
}

impl Held {
    pub(super) fn value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Int(int) => Value::Int(*int),
            Self::Text(text) => Value::Text(text),
            Self::Blob(blob) => Value::Blob(blob),
        }
    }
}

impl From<&Value<'_>> for Held {
    fn from(value: &Value<'_>) -> Self {
        match *value {
            Value::Null => Self::Null,
            Value::Int(int) => Self::Int(int),
            Value::Bool(bool) => Self::Int(bool.into()),
            Value::Text(text) => Self::Text(text.into()),
            Value::Blob(blob) => Self::Blob(blob.into()),
        }
    }
}

/// Something that a statement takes.
pub(crate) trait ToValue {
    fn to_value(&self) -> Value<'_>;
}

/// The parameters of a statement: a tuple or an array of [`ToValue`].
pub(crate) trait Params {
    fn with<T>(&self, run: impl FnOnce(&[Value<'_>]) -> T) -> T;
}

/// Something that a column gives.
pub(crate) trait FromColumn: Sized {
    fn from_column(value: Value<'_>) -> Result<Self, Fault>;
}

const WRONG: Fault = Fault::Corrupt("column");

impl ToValue for Value<'_> {
    fn to_value(&self) -> Value<'_> {
        *self
    }
}

impl ToValue for bool {
    fn to_value(&self) -> Value<'_> {
        Value::Bool(*self)
    }
}

impl ToValue for i64 {
    fn to_value(&self) -> Value<'_> {
        Value::Int(*self)
    }
}

impl ToValue for u8 {
    fn to_value(&self) -> Value<'_> {
        Value::Int(i64::from(*self))
    }
}

impl ToValue for u32 {
    fn to_value(&self) -> Value<'_> {
        Value::Int(i64::from(*self))
    }
}

impl ToValue for str {
    fn to_value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl ToValue for String {
    fn to_value(&self) -> Value<'_> {
        Value::Text(self)
    }
}

impl ToValue for [u8] {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl ToValue for Vec<u8> {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl<const N: usize> ToValue for [u8; N] {
    fn to_value(&self) -> Value<'_> {
        Value::Blob(self)
    }
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> Value<'_> {
        (**self).to_value()
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Value<'_> {
        self.as_ref().map_or(Value::Null, ToValue::to_value)
    }
}

/// `[]` takes nothing, which needs no type of its elements.
impl Params for [&Value<'_>; 0] {
    fn with<T>(&self, run: impl FnOnce(&[Value<'_>]) -> T) -> T {
        run(&[])
    }
}

macro_rules! arrays {
    ($($len:literal)*) => {$(
        impl<V: ToValue> Params for [V; $len] {
            fn with<T>(&self, run: impl FnOnce(&[Value<'_>]) -> T) -> T {
                run(&self.each_ref().map(ToValue::to_value))
            }
        }
    )*};
}
arrays!(1 2 3);

macro_rules! tuples {
    ($($name:ident)*) => {
        impl<$($name: ToValue),*> Params for ($($name,)*) {
            #[expect(non_snake_case, reason = "the names are those of the types")]
            fn with<R>(&self, run: impl FnOnce(&[Value<'_>]) -> R) -> R {
                let ($($name,)*) = self;
                run(&[$($name.to_value()),*])
            }
        }
    };
}
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D E);
tuples!(A B C D E F);
tuples!(A B C D E F G);
tuples!(A B C D E F G H);
tuples!(A B C D E F G H I);
tuples!(A B C D E F G H I J);
tuples!(A B C D E F G H I J K);
tuples!(A B C D E F G H I J K L);
tuples!(A B C D E F G H I J K L M);
tuples!(A B C D E F G H I J K L M N);
tuples!(A B C D E F G H I J K L M N O);
tuples!(A B C D E F G H I J K L M N O P);
tuples!(A B C D E F G H I J K L M N O P Q);
tuples!(A B C D E F G H I J K L M N O P Q S);
tuples!(A B C D E F G H I J K L M N O P Q S U);
tuples!(A B C D E F G H I J K L M N O P Q S U V);
tuples!(A B C D E F G H I J K L M N O P Q S U V W);
tuples!(A B C D E F G H I J K L M N O P Q S U V W X);

impl FromColumn for i64 {
    fn from_column(value: Value<'_>) -> Result<Self, Fault> {
        match value {
            Value::Int(int) => Ok(int),
            Value::Bool(bool) => Ok(bool.into()),
            Value::Null | Value::Text(_) | Value::Blob(_) => Err(WRONG),
        }
    }
}

impl FromColumn for u8 {
    fn from_column(value: Value<'_>) -> Result<Self, Fault> {
        Self::try_from(i64::from_column(value)?).map_err(|_| WRONG)
    }
}

impl FromColumn for u32 {
    fn from_column(value: Value<'_>) -> Result<Self, Fault> {
        Self::try_from(i64::from_column(value)?).map_err(|_| WRONG)
    }
}

impl FromColumn for bool {
    fn from_column(value: Value<'_>) -> Result<Self, Fault> {
        match value {
            Value::Bool(bool) => Ok(bool),
            Value::Int(int) => Ok(int != 0),
            Value::Null | Value::Text(_) | Value::Blob(_) => Err(WRONG),
        }
    }
}

impl FromColumn for String {
    fn from_column(value: Value<'_>) -> Result<Self, Fault> {
        match value {
            Value::Text(text) => Ok(text.to_owned()),
            Value::Null | Value::Int(_) | Value::Bool(_) | Value::Blob(_) => Err(WRONG),
        }
    }
}

impl FromColumn for Vec<u8> {
    fn from_column(value: Value<'_>) -> Result<Self, Fault> {
        match value {
            Value::Blob(blob) => Ok(blob.to_vec()),
            Value::Null | Value::Int(_) | Value::Bool(_) | Value::Text(_) => Err(WRONG),
        }
    }
}

impl<const N: usize> FromColumn for [u8; N] {
    fn from_column(value: Value<'_>) -> Result<Self, Fault> {
        match value {
            Value::Blob(blob) => blob.try_into().map_err(|_| WRONG),
            Value::Null | Value::Int(_) | Value::Bool(_) | Value::Text(_) => Err(WRONG),
        }
    }
}

impl<T: FromColumn> FromColumn for Option<T> {
    fn from_column(value: Value<'_>) -> Result<Self, Fault> {
        match value {
            Value::Null => Ok(None),
            Value::Int(_) | Value::Bool(_) | Value::Text(_) | Value::Blob(_) => {
                T::from_column(value).map(Some)
            }
        }
    }
}
