//! What a bearer token may do.

use alloc::vec::Vec;

/// One thing that a token may allow. Names are stable; a new one gets the next bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// See the holder's orders.
    OrdersRead,
    /// Place and take back orders, and fetch the program by which an own card pays.
    OrdersWrite,
    /// Register, list and remove webhooks, and have their events sent again.
    WebhooksManage,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::OrdersRead, Self::OrdersWrite, Self::WebhooksManage];

    /// Its name at the command line and in problems.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::OrdersRead => "orders:read",
            Self::OrdersWrite => "orders:write",
            Self::WebhooksManage => "webhooks:manage",
        }
    }

    /// The scope of a name, if it is one.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.code() == code)
    }

    const fn bit(self) -> u32 {
        match self {
            Self::OrdersRead => 1,
            Self::OrdersWrite => 2,
            Self::WebhooksManage => 4,
        }
    }
}

/// What one token may do: some scopes, or all that there are and will be. Stored as one bit for each
/// scope; no bit at all means all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scopes(u32);

impl Scopes {
    /// Everything, pages included: what the token is that a holder begins with.
    pub const FULL: Self = Self(0);

    /// These scopes; nothing where there is none, which would mean all.
    #[must_use]
    pub fn of(scopes: &[Scope]) -> Option<Self> {
        let bits = scopes.iter().fold(0, |bits, scope| bits | scope.bit());
        (bits != 0).then_some(Self(bits))
    }

    /// Whether it may do everything.
    #[must_use]
    pub const fn is_full(self) -> bool {
        self.0 == 0
    }

    /// Whether it may do this.
    #[must_use]
    pub const fn allows(self, scope: Scope) -> bool {
        self.is_full() || self.0 & scope.bit() != 0
    }

    /// As it is stored.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Reads what is stored; nothing where a bit is of no scope that this version knows.
    #[must_use]
    pub fn from_bits(bits: u32) -> Option<Self> {
        let known = Scope::ALL
            .iter()
            .fold(0, |known, scope| known | scope.bit());
        (bits & !known == 0).then_some(Self(bits))
    }

    /// The names, or `full` alone.
    #[must_use]
    pub fn codes(self) -> Vec<&'static str> {
        if self.is_full() {
            return [FULL].into();
        }
        let allowed = Scope::ALL.into_iter().filter(|scope| self.allows(*scope));
        allowed.map(Scope::code).collect()
    }
}

/// How people call all scopes together.
const FULL: &str = "full";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_back_and_no_scope_is_not_all_of_them() {
        for first in Scope::ALL {
            assert_eq!(Scope::from_code(first.code()), Some(first));
            let only = Scopes::of(&[first, first]).unwrap();
            assert_eq!(Scopes::from_bits(only.bits()), Some(only));
            assert_eq!(only.codes(), [first.code()]);
            for other in Scope::ALL {
                assert_eq!(only.allows(other), other == first);
                assert!(Scopes::FULL.allows(other));
            }
        }
        assert_eq!(Scopes::of(&[]), None);
        let all = Scopes::of(&Scope::ALL).unwrap();
        assert!(!all.is_full() && all.codes().len() == Scope::ALL.len());
        assert_eq!(Scopes::from_bits(all.bits() + 1), None);
        assert_eq!(Scope::from_code("full"), None);
        assert_eq!(Scopes::FULL.codes(), ["full"]);
    }
}
