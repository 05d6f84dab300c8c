//! Failures of TLS, in Go's words.

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

/// Why no TLS came about with this `host[:port]`.
pub fn words(error: &Error, host: &str) -> String {
    match error {
        Error::InvalidCertificate(reason) => {
            format!("tls: failed to verify certificate: x509: {}", certificate(reason, host))
        }
        // Go tells an HTTP server by its first bytes.
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "http: server gave HTTP response to HTTPS client".into()
        }
        Error::AlertReceived(alert) => format!("remote error: tls: {}", alerted(*alert)),
        other => format!("tls: {other}"),
    }
}

fn certificate(error: &CertificateError, host: &str) -> String {
    let at = |time: &UnixTime| {
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |t| t.to_string())
    };
    const ENDED: &str = "certificate has expired or is not yet valid";
    match error {
        CertificateError::UnknownIssuer => "certificate signed by unknown authority".into(),
        CertificateError::Expired | CertificateError::NotValidYet => ENDED.into(),
        CertificateError::ExpiredContext { time, not_after } => {
            format!("{ENDED}: current time {} is after {}", at(time), at(not_after))
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            format!("{ENDED}: current time {} is before {}", at(time), at(not_before))
        }
        CertificateError::NotValidForNameContext { presented, .. } => name(presented, host),
        CertificateError::NotValidForName => name(&[], host),
        // A certificate that is its own authority, which nobody has laid down.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "certificate signed by unknown authority".into()
        }
        other => other.to_string(),
    }
}

/// `presented`: as webpki writes names, `DnsName("a")` and `IpAddress(127.0.0.1)`.
fn name(presented: &[String], host: &str) -> String {
    let name = host.rsplit_once(':').filter(|(_, p)| !p.contains(']')).map_or(host, |(name, _)| name);
    let name = name.trim_matches(['[', ']']);
    let inner = |kind: &str| -> Vec<&str> {
        let rest = presented.iter().filter_map(|p| p.strip_prefix(kind)?.strip_suffix(')'));
        rest.map(|text| text.trim_matches(['(', '"'])).collect()
    };
    let (names, addresses) = (inner("DnsName"), inner("IpAddress"));
    if name.parse::<std::net::IpAddr>().is_ok() {
        if addresses.is_empty() {
            return format!("cannot validate certificate for {name} because it doesn't contain any IP SANs");
        }
        return format!("certificate is valid for {}, not {name}", addresses.join(", "));
    }
    if names.is_empty() {
        return "certificate relies on legacy Common Name field, use SANs instead".into();
    }
    format!("certificate is valid for {}, not {name}", names.join(", "))
}

/// Go's names of alerts (crypto/tls).
fn alerted(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => "certificate required".into(),
        AlertDescription::BadCertificate => "bad certificate".into(),
        AlertDescription::UnknownCA => "unknown certificate authority".into(),
        AlertDescription::CertificateExpired => "expired certificate".into(),
        AlertDescription::CertificateUnknown => "unknown certificate".into(),
        AlertDescription::HandshakeFailure => "handshake failure".into(),
        AlertDescription::ProtocolVersion => "protocol version not supported".into(),
        AlertDescription::InternalError => "internal error".into(),
        AlertDescription::AccessDenied => "access denied".into(),
        AlertDescription::UnrecognisedName => "unrecognized name".into(),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_tls_are_told_as_go_does() {
        let said = |reason| words(&Error::InvalidCertificate(reason), "r.example:5000");
        assert_eq!(
            said(CertificateError::UnknownIssuer),
            "tls: failed to verify certificate: x509: certificate signed by unknown authority"
        );
        let (time, not_after) = (1_700_000_000, 1_600_000_000);
        let at = |seconds| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        assert_eq!(
            said(CertificateError::ExpiredContext { time: at(time), not_after: at(not_after) }),
            "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time \
             2023-11-14T22:13:20Z is after 2020-09-13T12:26:40Z"
        );
        let alert = Error::AlertReceived(AlertDescription::CertificateRequired);
        assert_eq!(words(&alert, "r"), "remote error: tls: certificate required");
    }

    #[test]
    fn the_names_a_certificate_has_are_told() {
        let presented = ["DnsName(\"a\")".to_owned(), "IpAddress(10.0.0.1)".to_owned()];
        assert_eq!(name(&presented, "b:5000"), "certificate is valid for a, not b");
        assert_eq!(name(&presented, "10.0.0.2"), "certificate is valid for 10.0.0.1, not 10.0.0.2");
        assert_eq!(
            name(&presented[..1], "[::1]:5000"),
            "cannot validate certificate for ::1 because it doesn't contain any IP SANs"
        );
    }
}
