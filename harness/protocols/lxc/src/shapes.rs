//! What the checks of this protocol can find besides the generic ones, in the words that expectations match.

protocol::shapes! {
    LOST_NOTIFICATION = "lost-notification";
    NOTIFIED_TWICE = "notified-twice";
    ADDRESS_LEAK = "address-leak";
}
