/** A certificate authority for tests: keys and certificates in files, gone when the test ends. */
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { der, ECDSA_WITH_SHA256, sequence, signed, TAG, time } from '../src/tls/der.ts'
import { issueCertificate, type Issued } from '../src/tls/x509.ts'

export interface Files {
  readonly certFile: string
  readonly keyFile: string
  readonly cert: string
  readonly key: string
}

export interface Wanted {
  readonly commonName?: string
  /** Default: the loopback addresses. */
  readonly hosts?: readonly string[]
  /** The name of the files. Default: the common name. */
  readonly as?: string
}

const YEAR_MS = 365 * 24 * 3_600_000

export class Authority implements Disposable {
  readonly directory: string = mkdtempSync(join(tmpdir(), 'coracle-tls-'))
  readonly caFile: string
  readonly ca: string
  readonly #issuer: Issued

  constructor(commonName = 'test authority') {
    this.#issuer = issueCertificate({ commonName, isAuthority: true, ...validity() })
    this.ca = this.#issuer.certificatePem
    this.caFile = this.write('ca.pem', this.ca)
  }

  issue({ commonName = 'server', hosts = ['127.0.0.1', 'localhost'], as }: Wanted = {}): Files {
    const name = as ?? commonName
    const issuer = this.#issuer
    const issued = issueCertificate({ commonName, hosts, issuer, ...validity() })
    return {
      certFile: this.write(`${name}.pem`, issued.certificatePem),
      keyFile: this.write(`${name}-key.pem`, issued.keyPem),
      cert: issued.certificatePem,
      key: issued.keyPem,
    }
  }

  /** A list of those that were revoked. */
  revoke(name: string, files: readonly Files[]): string {
    const { notBefore, notAfter } = validity()
    const serialOf = ({ cert }: Files): Uint8Array =>
      der(TAG.integer, Buffer.from(new X509Certificate(cert).serialNumber, 'hex'))
    const body = sequence(
      der(TAG.integer, Uint8Array.of(1)),
      ECDSA_WITH_SHA256,
      this.#issuer.subject,
      time(notBefore),
      time(notAfter),
      sequence(...files.map((each) => sequence(serialOf(each), time(notBefore)))),
    )
    return this.write(name, signed('X509 CRL', body, this.#issuer.key))
  }

  write(name: string, text: string): string {
    const path = join(this.directory, name)
    writeFileSync(path, text)
    return path
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true })
  }
}

function validity(): { readonly notBefore: Date; readonly notAfter: Date } {
  const now = Date.now()
  return { notBefore: new Date(now - YEAR_MS), notAfter: new Date(now + YEAR_MS) }
}
