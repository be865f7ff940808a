//! The checks of a bastion: what its file says, what the store on the bus says, and what of both is in force.

mod handle;

pub use handle::StoreHandle;
