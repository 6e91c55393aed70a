//! Reference peers: servers and clients that behave as a release was measured to behave.

mod client;
mod store;
mod transaction;

pub use client::{CLIENT_DEFECTS, ReferenceClient};
pub use store::{Durability, State, Store, StoreError};
pub use transaction::{ConnectivityTest, Fault, Owner, StartsAtBoot, TransactionError, Transactions};
