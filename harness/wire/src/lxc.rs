//! The framing of the LXC command socket (stub; filled in by the framing work).
