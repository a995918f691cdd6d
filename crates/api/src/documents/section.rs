//! How a section of a `spec` is made: every field optional, none unknown, and each able to be filled from another.

/// Takes over what was left out.
pub(crate) trait Fill {
    /// Sets every field that is not set, in sections field by field, from `defaults`.
    fn fill(&mut self, defaults: &Self);
}

impl<T: Fill + Clone> Fill for Option<T> {
    fn fill(&mut self, defaults: &Self) {
        match (self.as_mut(), defaults) {
            (Some(own), Some(defaults)) => own.fill(defaults),
            (None, Some(defaults)) => *self = Some(defaults.clone()),
            (_, None) => {}
        }
    }
}

/// A list is one value: it is taken over whole or not at all.
impl<T> Fill for Vec<T> {
    fn fill(&mut self, _: &Self) {}
}

/// Values that have no fields.
macro_rules! whole {
    ($($type:ty),* $(,)?) => {$(
        impl $crate::documents::section::Fill for $type {
            fn fill(&mut self, _: &Self) {}
        }
    )*};
}
pub(crate) use whole;

/// Declares sections. Each field becomes an `Option` that is read by name, may be left out, and may not be null.
macro_rules! sections {
    ($($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $fdoc:literal])+ $field:ident: $type:ty,)* })*) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name {
            $(
                $(#[doc = $fdoc])+
                #[serde(
                    default,
                    deserialize_with = "crate::documents::values::given",
                    skip_serializing_if = "Option::is_none"
                )]
                pub $field: Option<$type>,
            )*
        }

        impl $crate::documents::section::Fill for $name {
            fn fill(&mut self, defaults: &Self) {
                $($crate::documents::section::Fill::fill(&mut self.$field, &defaults.$field);)*
            }
        }
    )*};
}
pub(crate) use sections;

/// Declares closed sets of words, `CamelCase` as they stand in documents.
macro_rules! words {
    ($($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $vdoc:literal])+ $variant:ident $(= $text:literal)?,)* })*) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[doc = $vdoc])+ $(#[serde(rename = $text)])? $variant,)* }

        $crate::documents::section::whole! { $name }
    )*};
}
pub(crate) use words;
