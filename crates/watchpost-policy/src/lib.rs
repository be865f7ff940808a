//! The customer's policy: what checks may do in their network, whatever the bus says.
//!
//! It owns the rules, how they are written, and the judgement of an address, a name, a method, a program. It does no
//! I/O, resolves nothing and reads no clock: whoever is about to connect asks it about the very address.
//!
//! Invariants:
//! - What is judged is the address that is dialled. What an address stands for (IPv4 within IPv6 in each of
//!   its disguises) is judged as well.
//! - What no rule speaks of is decided by the policy's own default, and a refusal names the rule.
