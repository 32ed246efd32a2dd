/** Cipher suites by the names of the standards, which Go uses and OpenSSL does not. */
import { getCiphers } from 'node:tls'

const AVAILABLE: ReadonlySet<string> = new Set(getCiphers())

/** OpenSSL's name; null for a suite that it does not offer, or that does not exist. */
export function openSslName(suite: string): string | null {
  const name = suite
    // Those of TLS 1.3 have the same name everywhere.
    .replace(/^TLS_(.*)_WITH_(.*)$/, (_, exchange: string, cipher: string) =>
      [...(exchange === 'RSA' ? [] : [exchange]), cipher]
        .join('_')
        .replace(/AES_(\d+)/, 'AES$1')
        .replace(/_CBC_SHA/, '_SHA')
        .replace(/POLY1305_SHA256$/, 'POLY1305')
        .replaceAll('_', '-'),
    )
  return AVAILABLE.has(name.toLowerCase()) ? name : null
}
