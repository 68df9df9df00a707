// Issues twice, changes the account's key, and revokes, by the node library `acme-client`.
//
// Arguments: directory URL, webroot, folder for what it got, names. The root is what NODE_EXTRA_CA_CERTS names.
'use strict';

const fs = require('fs');
const path = require('path');
const acme = require('acme-client');

async function main(directoryUrl, webroot, folder, ...names) {
    const client = new acme.Client({ directoryUrl, accountKey: await acme.crypto.createPrivateEcdsaKey() });
    const shown = path.join(webroot, '.well-known', 'acme-challenge');
    fs.mkdirSync(shown, { recursive: true });
    const [key, csr] = await acme.crypto.createCsr({ altNames: names });
    fs.writeFileSync(path.join(folder, 'key.pem'), key);

    let certificate;
    for (const number of ['first', 'second']) {
        certificate = await client.auto({
            csr,
            email: 'admin@corp.lan',
            termsOfServiceAgreed: true,
            challengePriority: ['http-01'],
            // It would look at port 80 of the names.
            skipChallengeVerification: true,
            challengeCreateFn: async (authz, challenge, keyAuthorization) => {
                fs.writeFileSync(path.join(shown, challenge.token), keyAuthorization);
            },
            challengeRemoveFn: async (authz, challenge) => {
                fs.unlinkSync(path.join(shown, challenge.token));
            },
        });
        fs.writeFileSync(path.join(folder, `${number}.pem`), certificate);
    }

    await client.updateAccount({ contact: ['mailto:other@corp.lan'] });
    await client.updateAccountKey(await acme.crypto.createPrivateKey(2048));
    await client.revokeCertificate(certificate, { reason: 4 });
    await client.updateAccount({ status: 'deactivated' });
}

main(...process.argv.slice(2)).catch((error) => {
    console.error(error);
    process.exit(1);
});
