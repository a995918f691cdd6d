//! Arithmetic on owner names, all in canonical form (lower-case, absolute), where equality and order are those of RFC 4034 section 6.1.

use hickory_proto::rr::Name;

/// The canonical form: ASCII letters lower-case, absolute. Every name that the answer logic sees went through here once.
#[must_use]
pub fn canonical(name: &Name) -> Name {
    let mut name = name.to_lowercase();
    name.set_fqdn(true);
    name
}

/// How many labels the name has, the asterisk of a wildcard included and the root not.
pub(crate) fn label_count(name: &Name) -> usize {
    name.iter().len()
}

/// The `count` right-most labels of `name`.
pub(crate) fn suffix(name: &Name, count: usize) -> Name {
    name.trim_to(count)
}

/// `*.<name>`; `None` where that would be too long.
pub(crate) fn wildcard_of(name: &Name) -> Option<Name> {
    name.prepend_label(&b"*"[..]).ok().map(|made| canonical(&made))
}

/// Whether `name` lies below `ancestor` and is not it.
pub(crate) fn is_below(name: &Name, ancestor: &Name) -> bool {
    ancestor.zone_of(name) && label_count(name) > label_count(ancestor)
}

/// The longest name that both are, or lie below.
pub(crate) fn common_ancestor(a: &Name, b: &Name) -> Name {
    let shared = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x.eq_ignore_ascii_case(y)).count();
    suffix(a, shared)
}

/// `owner` with its suffix `from` replaced by `to` (RFC 6672 section 2.2); `None` if the result is too long or `owner` is not below `from`.
pub(crate) fn substitute(owner: &Name, from: &Name, to: &Name) -> Option<Name> {
    if !is_below(owner, from) {
        return None;
    }
    let keep = label_count(owner) - label_count(from);
    let prefix = Name::from_labels(owner.iter().take(keep)).ok()?;
    prefix.append_domain(to).ok().map(|made| canonical(&made))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn name(text: &str) -> Name {
        canonical(&Name::from_ascii(text).unwrap())
    }

    #[test]
    fn dname_substitution_keeps_the_prefix_and_refuses_what_is_too_long() {
        assert_eq!(
            substitute(&name("a.b.old."), &name("old."), &name("new.example.")),
            Some(name("a.b.new.example."))
        );
        assert_eq!(substitute(&name("old."), &name("old."), &name("new.")), None);
        assert_eq!(substitute(&name("a.cold."), &name("old."), &name("new.")), None);
        let long = name(&format!("{0}.{0}.{0}.", "x".repeat(63)));
        let owner = name(&format!("{}.old.", "y".repeat(63)));
        assert_eq!(substitute(&owner, &name("old."), &long), None);
    }

    #[test]
    fn common_ancestors_end_on_label_boundaries() {
        assert_eq!(common_ancestor(&name("a.x.example."), &name("b.x.example.")), name("x.example."));
        assert_eq!(common_ancestor(&name("ax.example."), &name("x.example.")), name("example."));
        assert_eq!(common_ancestor(&name("a."), &name("b.")), Name::root());
        assert_eq!(common_ancestor(&name("a.b."), &name("a.b.")), name("a.b."));
    }

    #[test]
    fn order_is_that_of_rfc_4034() {
        let ordered: [&[&[u8]]; 9] = [
            &[b"example"],
            &[b"a", b"example"],
            &[b"yljkjljk", b"a", b"example"],
            &[b"Z", b"a", b"example"],
            &[b"zABC", b"a", b"EXAMPLE"],
            &[b"z", b"example"],
            &[b"\x01", b"z", b"example"],
            &[b"*", b"z", b"example"],
            &[b"\xc8", b"z", b"example"],
        ];
        let names = ordered.map(|labels| canonical(&Name::from_labels(labels.iter().copied()).unwrap()));
        assert!(names.is_sorted_by(|a, b| a < b));
    }
}
