import { X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { objectionTo, objectionToPlace } from '../src/tls/admission.ts'
import { openSslName } from '../src/tls/ciphers.ts'
import { clientTlsOf, peerTlsOf } from '../src/tls/tls-config.ts'
import { issueCertificate } from '../src/tls/x509.ts'
import { parseCommandLine, type Settings } from '../src/flags.ts'
import { Authority } from './authority.ts'

const DAY_MS = 24 * 3_600_000

function issue(hosts: readonly string[], commonName = 'somebody'): X509Certificate {
  const now = Date.now()
  const { certificatePem } = issueCertificate({
    commonName,
    hosts,
    notBefore: new Date(now - DAY_MS),
    notAfter: new Date(now + DAY_MS),
  })
  return new X509Certificate(certificatePem)
}

describe('certificates made here', () => {
  test('say what they were asked to, in the form that others read', () => {
    const { certificatePem, keyPem } = issueCertificate({
      organization: 'org',
      commonName: 'name',
      hosts: ['a.example', '10.0.0.1', '::1', 'fe80::1:2', '::ffff:1.2.3.4'],
      notBefore: new Date('2049-12-31T23:59:59Z'),
      notAfter: new Date('2050-01-01T00:00:01Z'),
    })
    const certificate = new X509Certificate(certificatePem)
    expect(certificate.subject).toBe('O=org\nCN=name')
    expect(certificate.subjectAltName).toBe(
      'DNS:a.example, IP Address:10.0.0.1, IP Address:0:0:0:0:0:0:0:1, IP Address:FE80:0:0:0:0:0:1:2, IP Address:0:0:0:0:0:FFFF:102:304',
    )
    expect(certificate.validFrom).toBe('Dec 31 23:59:59 2049 GMT')
    expect(certificate.validTo).toBe('Jan  1 00:00:01 2050 GMT')
    expect(certificate.ca).toBe(false)
    expect(certificate.verify(certificate.publicKey)).toBe(true)
    expect(keyPem).toContain('BEGIN PRIVATE KEY')
  })

  test('of an authority are signed by it', () => {
    using authority = new Authority()
    const ca = new X509Certificate(authority.ca)
    const leaf = new X509Certificate(authority.issue().cert)
    expect(ca.ca).toBe(true)
    expect(leaf.checkIssued(ca)).toBe(true)
    expect(leaf.verify(ca.publicKey)).toBe(true)
  })
})

describe('names and places', () => {
  const any = { allowedCommonNames: [], allowedHostnames: [] }

  test('one of the allowed common names is enough', () => {
    const certificate = issue([], 'a')
    expect(objectionTo(certificate, any)).toBeNull()
    expect(objectionTo(certificate, { ...any, allowedCommonNames: ['b', 'a'] })).toBeNull()
    expect(objectionTo(certificate, { ...any, allowedCommonNames: ['b'] })).toContain('"a"')
  })

  test('one of the allowed hosts is enough; a common name does not count as one', () => {
    const certificate = issue(['a.example', '10.0.0.1'], 'b.example')
    for (const host of ['a.example', '10.0.0.1'])
      expect(objectionTo(certificate, { ...any, allowedHostnames: ['x', host] })).toBeNull()
    expect(objectionTo(certificate, { ...any, allowedHostnames: ['b.example'] })).not.toBeNull()
  })

  test('a certificate for hosts must come from one of them', async () => {
    const resolver = {
      addressesOf: async (name: string) => (name === 'a.example' ? ['10.0.0.9'] : []),
      namesOf: async (address: string) => (address === '10.0.0.8' ? ['x.b.example'] : []),
    }
    const objection = (hosts: readonly string[], from: string): Promise<string | null> =>
      objectionToPlace(issue(hosts), from, resolver)
    expect(await objection([], '10.0.0.1')).toBeNull()
    expect(await objection(['10.0.0.1'], '10.0.0.1')).toBeNull()
    expect(await objection(['10.0.0.1'], '::ffff:10.0.0.1')).toBeNull()
    expect(await objection(['10.0.0.1'], '10.0.0.2')).toContain('not for 10.0.0.2')
    expect(await objection(['10.0.0.1', 'a.example'], '10.0.0.9')).toBeNull()
    expect(await objection(['a.example'], '10.0.0.1')).toContain('not for 10.0.0.1')
    expect(await objection(['*.b.example'], '10.0.0.8')).toBeNull()
    expect(await objection(['*.example'], '10.0.0.8')).not.toBeNull()
  })
})

test.each([
  ['TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256', 'ECDHE-RSA-AES128-GCM-SHA256'],
  ['TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384', 'ECDHE-ECDSA-AES256-GCM-SHA384'],
  ['TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256', 'ECDHE-ECDSA-CHACHA20-POLY1305'],
  ['TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305', 'ECDHE-RSA-CHACHA20-POLY1305'],
  ['TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA', 'ECDHE-RSA-AES128-SHA'],
  ['TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256', 'ECDHE-RSA-AES128-SHA256'],
  ['TLS_RSA_WITH_AES_256_GCM_SHA384', 'AES256-GCM-SHA384'],
  ['TLS_RSA_WITH_AES_128_CBC_SHA', 'AES128-SHA'],
  ['TLS_AES_128_GCM_SHA256', 'TLS_AES_128_GCM_SHA256'],
  ['TLS_RSA_WITH_RC4_128_SHA', null],
  ['nonsense', null],
])('%s is %s in OpenSSL', (suite, name) => {
  expect(openSslName(suite)).toBe(name)
})

describe('flags of TLS', () => {
  const settingsOf = (...args: string[]): Settings => {
    const line = parseCommandLine(args, {})
    if (line.type !== 'run') throw new Error(line.type)
    return line.settings
  }
  const around = { dataDir: '/data', isWanted: true, hosts: ['127.0.0.1'], srvDomain: null }
  const PAIR = ['--cert-file=/c', '--key-file=/k', '--peer-cert-file=/c', '--peer-key-file=/k']

  test('an authority means that certificates are required, as in etcd', () => {
    const settings = settingsOf(...PAIR, '--trusted-ca-file=/ca')
    expect(clientTlsOf(settings, around)).toMatchObject({ requiresCertificate: true })
    expect(peerTlsOf(settings, around)).toMatchObject({ requiresCertificate: false })
  })

  test('what is given wins over what is made, and made is what is kept in the data directory', () => {
    const made = clientTlsOf(settingsOf('--auto-tls', '--self-signed-cert-validity=3'), around)
    expect(made).toMatchObject({
      certFile: '/data/fixtures/client/cert.pem',
      selfSigned: { hosts: ['127.0.0.1'], years: 3 },
    })
    const given = clientTlsOf(settingsOf(...PAIR, '--auto-tls'), around)
    expect(given).toMatchObject({ certFile: '/c', selfSigned: null })
  })

  test.each([
    [['--cert-file=/c'], 'KeyFile and CertFile must both be present[key: , cert: /c]'],
    [['--peer-key-file=/k'], 'KeyFile and CertFile must both be present[key: /k, cert: ]'],
    [['--tls-min-version=TLS1.3', '--tls-max-version=TLS1.2'], 'min version (TLS1.3) is greater'],
    [['--tls-min-version=TLS1.3', '--cipher-suites=x'], 'cipher suites cannot be configured'],
    [['--cipher-suites=TLS_NO_SUCH_THING'], 'unexpected TLS cipher suite "TLS_NO_SUCH_THING"'],
    [['--peer-cert-allowed-cn=a', '--peer-cert-allowed-hostname=b'], 'mutually exclusive'],
    [['--peer-auto-tls', '--peer-client-cert-auth'], 'certificates that nobody signs'],
  ])('%j: no', (args, message) => {
    expect(() => {
      clientTlsOf(settingsOf(...args), around)
      peerTlsOf(settingsOf(...args), around)
    }).toThrow(message)
  })
})
