//! The probers `icmp` and `grpc`.

use super::Module;
use super::network;
use crate::keys::Keys;
use crate::notes::Notes;

pub(super) fn icmp(keys: &Keys<'_>, module: &mut Module, notes: &mut Notes) -> bool {
    // One request, as there: of several, one reply would be enough.
    module.settings.set("count", 1_u64);
    module.settings.set_some("size", keys.number("payload_size", notes).filter(|size| *size > 0));
    module.settings.set_some("ttl", keys.number("ttl", notes).filter(|ttl| *ttl > 0));
    keys.leave_flag("dont_fragment", "echo requests may be fragmented on their way", notes);
    module.settings.set_map("route", network::route(keys, notes));
    true
}

pub(super) fn grpc(keys: &Keys<'_>, module: &mut Module, notes: &mut Notes) -> bool {
    let place = keys.place_of("tls_config");
    let (tls, only_13) = network::tls(&keys.map("tls_config", notes), notes);
    if keys.flag("tls", notes) == Some(true) {
        module.settings.set("tls", tls);
        if only_13 {
            module.that.push((place, "tls.version == \"TLSv1.3\"".into()));
        }
    }
    module.settings.set_some("service", keys.some_text("service", notes));
    let mut metadata = crate::out::Fields::default();
    for (name, place, value) in keys.map("metadata", notes).pairs(notes) {
        network::tell_secret(name, &place, notes);
        metadata.set(name, value);
    }
    module.settings.set_map("metadata", metadata);
    module.settings.set_map("route", network::route(keys, notes));
    true
}
