//! Names of errors, as manual pages have them: the same on every machine and in every language.

use std::borrow::Cow;
use std::io;

use rustix::io::Errno;
use transcript::evidence::MuxerFault;

/// The errors that connecting can end in, `connect(2)` and `open(2)`.
const NAMES: &[(Errno, &str)] = &[
    (Errno::ACCESS, "EACCES"),
    (Errno::ADDRINUSE, "EADDRINUSE"),
    (Errno::ADDRNOTAVAIL, "EADDRNOTAVAIL"),
    (Errno::AFNOSUPPORT, "EAFNOSUPPORT"),
    (Errno::AGAIN, "EAGAIN"),
    (Errno::CONNABORTED, "ECONNABORTED"),
    (Errno::CONNREFUSED, "ECONNREFUSED"),
    (Errno::CONNRESET, "ECONNRESET"),
    (Errno::HOSTUNREACH, "EHOSTUNREACH"),
    (Errno::INPROGRESS, "EINPROGRESS"),
    (Errno::INTR, "EINTR"),
    (Errno::INVAL, "EINVAL"),
    (Errno::IO, "EIO"),
    (Errno::ISCONN, "EISCONN"),
    (Errno::LOOP, "ELOOP"),
    (Errno::MFILE, "EMFILE"),
    (Errno::NAMETOOLONG, "ENAMETOOLONG"),
    (Errno::NETUNREACH, "ENETUNREACH"),
    (Errno::NFILE, "ENFILE"),
    (Errno::NOENT, "ENOENT"),
    (Errno::NOMEM, "ENOMEM"),
    (Errno::NOTDIR, "ENOTDIR"),
    (Errno::NOTSOCK, "ENOTSOCK"),
    (Errno::NXIO, "ENXIO"),
    (Errno::PERM, "EPERM"),
    (Errno::PIPE, "EPIPE"),
    (Errno::PROTOTYPE, "EPROTOTYPE"),
    (Errno::TIMEDOUT, "ETIMEDOUT"),
];

/// The name of an error; what a muxer did has a word of its own. A connection that did not come within our own deadline is one that would have to be tried again.
#[must_use]
pub fn errno_name(error: &io::Error) -> Cow<'static, str> {
    if let Some(fault) = error.get_ref().and_then(|inner| inner.downcast_ref::<MuxerFault>()) {
        return Cow::Borrowed(fault.word());
    }
    let code = error.raw_os_error().map(Errno::from_raw_os_error).unwrap_or(match error.kind() {
        io::ErrorKind::ConnectionRefused => Errno::CONNREFUSED,
        io::ErrorKind::ConnectionReset => Errno::CONNRESET,
        io::ErrorKind::ConnectionAborted => Errno::CONNABORTED,
        io::ErrorKind::BrokenPipe => Errno::PIPE,
        io::ErrorKind::NotFound => Errno::NOENT,
        io::ErrorKind::PermissionDenied => Errno::ACCESS,
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Errno::AGAIN,
        io::ErrorKind::InvalidInput => Errno::INVAL,
        _ => Errno::IO,
    });
    match NAMES.iter().find(|(known, _)| *known == code) {
        Some((_, name)) => Cow::Borrowed(name),
        None => Cow::Owned(format!("errno-{}", code.raw_os_error())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_names_wherever_they_come_from() {
        let check = |error: io::Error, expect: &str| assert_eq!(errno_name(&error), expect);
        check(Errno::CONNREFUSED.into(), "ECONNREFUSED");
        check(Errno::ACCESS.into(), "EACCES");
        check(Errno::XDEV.into(), "errno-18");
        check(io::ErrorKind::NotFound.into(), "ENOENT");
        check(io::ErrorKind::TimedOut.into(), "EAGAIN");
        check(io::Error::other("something of our own"), "EIO");
        check(io::Error::other(MuxerFault::Silent), "muxer-silent");
    }
}
