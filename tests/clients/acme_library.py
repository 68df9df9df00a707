"""Issues twice, asks when to renew, and revokes, by the Python library `acme`.

Arguments: directory URL, port for HTTP-01, folder for what it got, names. The root is what REQUESTS_CA_BUNDLE names.
"""

import pathlib
import sys

import josepy
from acme import challenges, client, crypto_util, errors, messages, standalone
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa


def main(directory, port, folder, *names):
    folder = pathlib.Path(folder)
    key = josepy.JWKRSA(key=rsa.generate_private_key(public_exponent=65537, key_size=2048))
    net = client.ClientNetwork(key, user_agent="acme-ca-tests")
    acme = client.ClientV2(client.ClientV2.get_directory(directory, net), net=net)
    account = acme.new_account(
        messages.NewRegistration.from_data(email="admin@corp.lan", terms_of_service_agreed=True)
    )
    # An account that is there already is a conflict with a Location. The library signs by `kid` once it has one.
    net.account = None
    try:
        acme.new_account(messages.NewRegistration.from_data(terms_of_service_agreed=True))
        raise AssertionError("a second account for one key")
    except errors.ConflictError as conflict:
        assert conflict.location == account.uri, conflict.location
    net.account = account
    assert acme.query_registration(account).body.contact == ("mailto:admin@corp.lan",)

    private = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    for number in ("first", "second"):
        chain = issue(acme, key, private, names, int(port))
        (folder / f"{number}.pem").write_text(chain)
    start, again = acme.renewal_time(chain.encode())
    print("renewal at", start, "asked again at", again)

    acme.revoke(x509.load_pem_x509_certificate(chain.encode()), 4)
    try:
        acme.revoke(x509.load_pem_x509_certificate(chain.encode()), 4)
        raise AssertionError("revoked twice")
    except messages.Error as error:
        assert error.code == "alreadyRevoked", error
    acme.deactivate_registration(account)


def issue(acme, key, private, names, port):
    order = acme.new_order(crypto_util.make_csr(private, names))
    pending = [a for a in order.authorizations if a.body.status != messages.STATUS_VALID]
    chosen = [challenge(a.body) for a in pending]
    resources = {
        standalone.HTTP01RequestHandler.HTTP01Resource(
            chall=c.chall, response=c.chall.response(key), validation=c.chall.validation(key)
        )
        for c in chosen
    }
    servers = standalone.HTTP01DualNetworkedServers(("127.0.0.1", port), resources)
    servers.serve_forever()
    try:
        for c in chosen:
            acme.answer_challenge(c, c.chall.response(key))
        return acme.poll_and_finalize(order).fullchain_pem
    finally:
        servers.shutdown_and_server_close()


def challenge(authorization):
    return next(c for c in authorization.challenges if isinstance(c.chall, challenges.HTTP01))


main(*sys.argv[1:])
