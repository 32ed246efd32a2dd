/** The encoding of certificates (X.690, DER), and the frame that signs them (RFC 5280). */
import { type KeyObject, sign } from 'node:crypto'

export const TAG = {
  integer: 2,
  bits: 3,
  octets: 4,
  oid: 6,
  text: 12,
  sequence: 0x30,
  set: 0x31,
} as const

export const ECDSA_WITH_SHA256: Uint8Array = sequence(oid([0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]))

/** Years from 2050 on have a form of their own (RFC 5280, section 4.1.2.5). */
export function time(date: Date): Uint8Array {
  const digits = date.toISOString().replaceAll(/[-:T]|\.\d+/g, '')
  return date.getUTCFullYear() < 2050 ? der(0x17, ascii(digits.slice(2))) : der(0x18, ascii(digits))
}

export function bits(unused: number, content: Uint8Array): Uint8Array {
  return der(TAG.bits, Uint8Array.of(unused), content)
}

export function oid(encoded: readonly number[]): Uint8Array {
  return der(TAG.oid, Uint8Array.from(encoded))
}

export function sequence(...contents: readonly Uint8Array[]): Uint8Array {
  return der(TAG.sequence, ...contents)
}

export function der(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const length = contents.reduce((sum, content) => sum + content.length, 0)
  const head = [tag, ...lengthOf(length)]
  const encoded = new Uint8Array(head.length + length)
  encoded.set(head)
  let at = head.length
  for (const content of contents) {
    encoded.set(content, at)
    at += content.length
  }
  return encoded
}

function lengthOf(length: number): readonly number[] {
  if (length < 0x80) return [length]
  if (length < 0x100) return [0x81, length]
  return [0x82, length >> 8, length & 0xff]
}

export function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** What everything that is signed looks like: the body, how it was signed, and the signature. */
export function signed(label: string, body: Uint8Array, key: KeyObject): string {
  return pem(label, sequence(body, ECDSA_WITH_SHA256, bits(0, sign('sha256', body, key))))
}

function pem(label: string, bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n')
}
