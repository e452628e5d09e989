//! IPsec (hcn.md 2.10).

use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

documents! {
    /// Protects traffic between two groups of endpoints.
    pub struct EncryptionPolicySetting("EncryptionPolicySetting") {
        /// The method.
        encryption_method_type: Option<EncryptionMethod> = "EncryptionMethodType" ["2.1", Given],
        /// How the peers prove who they are, the preferred way first.
        authentication_methods: Vec<PrioritizedAuthenticationMethod> =
            "AuthenticationMethods" ["2.1"],
        /// A label of the policy.
        name: Option<String> = "Name" ["2.1"],
        /// Addresses of the one side; any when empty.
        endpoints1: Vec<String> = "Endpoints1" ["2.1"],
        /// Addresses of the other side; any when empty.
        endpoints2: Vec<String> = "Endpoints2" ["2.1"],
        /// The protocol; any when empty.
        protocol_type: Option<String> = "ProtocolType" ["2.1"],
        /// Ports of the one side; any when empty.
        endpoint1_ports: Vec<String> = "Endpoint1Ports" ["2.1"],
        /// Ports of the other side; any when empty.
        endpoint2_ports: Vec<String> = "Endpoint2Ports" ["2.1"],
    }

    /// One way in which peers prove who they are.
    pub struct PrioritizedAuthenticationMethod("PrioritizedAuthenticationMethod") {
        /// The way.
        kind: Option<AuthenticationType> = "Type" ["2.1", Given],
        /// The proof: AuthenticationPresharedKey or AuthenticationCertificate.
        settings: Option<Value> = "Settings" ["2.1"],
    }

    /// What every proof has: nothing.
    pub struct AuthenticationMethod("AuthenticationMethod", "2.1") {}

    /// A proof by a shared secret.
    pub struct AuthenticationPresharedKey("AuthenticationPresharedKey") {
        /// The secret.
        key: Option<String> = "Key" ["2.1"],
    }

    /// A proof by a certificate.
    pub struct AuthenticationCertificate("AuthenticationCertificate") {
        /// The name of the certificate.
        certificate_name: Option<String> = "CertificateName" ["2.1"],
    }
}

kinds! {
    /// How traffic is protected.
    pub enum EncryptionMethod {
        /// By IPsec.
        Ipsec ["2.1"],
    }

    /// How peers prove who they are.
    pub enum AuthenticationType {
        /// By a shared secret.
        PresharedKey ["2.1"],
        /// By a certificate.
        Certificate ["2.1"],
    }
}
