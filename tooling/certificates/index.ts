/** Self-signed certificates, written field by field (RFC 5280), so that no test needs a key from disk. */
import { generateKeyPairSync, sign } from 'node:crypto'

export interface Certified {
  readonly key: string
  readonly cert: string
}

const SEQUENCE = 0x30
const SET = 0x31
const COMMON_NAME = [0x55, 4, 3]
const SUBJECT_ALT_NAME = [0x55, 0x1d, 0x11]
const ECDSA_WITH_SHA256 = [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]

/** A new key, and a certificate that says `name` may be found at this IPv4 address. */
export function certify(name: string, ip: string): Certified {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const algorithm = der(SEQUENCE, oid(ECDSA_WITH_SHA256))
  const attribute = der(SEQUENCE, oid(COMMON_NAME), der(0x0c, Buffer.from(name)))
  const subject = der(SEQUENCE, der(SET, attribute))
  const validity = der(SEQUENCE, time('20200101000000Z'), time('20991231235959Z'))
  const address = der(0x87, Buffer.from(ip.split('.').map(Number)))
  const altName = der(SEQUENCE, oid(SUBJECT_ALT_NAME), der(4, der(SEQUENCE, address)))
  const body = der(
    SEQUENCE,
    der(0xa0, der(2, Buffer.from([2]))),
    der(2, Buffer.from([1])),
    algorithm,
    subject,
    validity,
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, der(SEQUENCE, altName)),
  )
  const signature = der(3, Buffer.from([0]), sign('sha256', body, privateKey))
  const lines =
    der(SEQUENCE, body, algorithm, signature)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n'),
  }
}

function oid(encoded: readonly number[]): Buffer {
  return der(6, Buffer.from(encoded))
}

function time(text: string): Buffer {
  return der(0x18, Buffer.from(text))
}

function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents)
  const { length } = content
  const head =
    length < 0x80
      ? [tag, length]
      : length < 0x100
        ? [tag, 0x81, length]
        : [tag, 0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from(head), content])
}
