//! What a registry wants to see before it answers (RFC 7235, RFC 6750, RFC 7617, distribution's token specification).

mod authorizer;
mod challenge;
mod token;

pub use authorizer::{Authorizer, Whom};
pub use challenge::challenges;
pub use token::Lasting;
#[cfg(any(test, feature = "fuzz"))]
pub use token::{Ask, Token, present, refresh};
