/** Certificates, keys and authorities from their files, read again when these change. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import type { Log } from '../log.ts'
import { ensureSelfSigned } from './self-signed.ts'
import type { TlsConfig } from './tls-config.ts'

/** Files that are missing or make no sense. The message is a sentence. */
export class CertificateError extends Error {
  override readonly name = 'CertificateError'
}

export interface Material {
  /** Where others connect. */
  readonly listening: SecureContextOptions
  /** Where this member does. */
  readonly calling: SecureContextOptions
}

export interface Certificates extends Disposable {
  readonly config: TlsConfig
  /** As of now. */
  readonly material: Material
  /** Called whenever there are others. What throws is logged, and tried with the next ones. */
  onRenewed(listener: (material: Material) => void): void
}

export interface CertificatesOptions {
  readonly log: Log
  /** How often the files are looked at. Default 1000. */
  readonly intervalMs?: number
}

/**
 * Reads the files, makes those that are to be made here, and keeps looking at them. Files that make no
 * sense, or not yet, are told in the log, and what there was before goes on. Rejects with a
 * {@link CertificateError} if there is nothing to begin with.
 */
export async function openCertificates(
  config: TlsConfig,
  { log, intervalMs = 1_000 }: CertificatesOptions,
): Promise<Certificates> {
  const { certFile, keyFile, selfSigned } = config
  if (selfSigned !== null) {
    const isNew = await ensureSelfSigned({ certFile, keyFile, ...selfSigned }, new Date())
    if (isNew) log.info({ 'cert-file': certFile }, 'made a self-signed certificate')
  }
  const marks = await marksOf(config)
  const certificates = new Watched(config, await readMaterial(config), marks, log)
  certificates.watch(intervalMs)
  return certificates
}

class Watched implements Certificates {
  readonly config: TlsConfig
  readonly #log: Log
  readonly #listeners: ((material: Material) => void)[] = []
  #material: Material
  #marks: string
  #timer: NodeJS.Timeout | undefined
  #isLooking = false

  constructor(config: TlsConfig, material: Material, marks: string, log: Log) {
    this.config = config
    this.#material = material
    this.#marks = marks
    this.#log = log
  }

  get material(): Material {
    return this.#material
  }

  onRenewed(listener: (material: Material) => void): void {
    this.#listeners.push(listener)
  }

  watch(intervalMs: number): void {
    this.#timer = setInterval(() => {
      this.#look().catch((error: unknown) => this.#report(error))
    }, intervalMs)
    this.#timer.unref()
  }

  /** A pair that is being replaced may not fit together for a moment: the next look will find it. */
  async #look(): Promise<void> {
    if (this.#isLooking) return
    this.#isLooking = true
    try {
      const marks = await marksOf(this.config)
      if (marks === this.#marks) return
      this.#marks = marks
      this.#material = await readMaterial(this.config)
      for (const listener of this.#listeners) listener(this.#material)
      this.#log.info({ side: this.config.side }, 'renewed certificates')
    } finally {
      this.#isLooking = false
    }
  }

  #report(error: unknown): void {
    const why = error instanceof Error ? error.message : String(error)
    this.#log.warn({ error: why }, 'cannot use the new certificates: those before go on')
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }
}

function filesOf({ certFile, keyFile, calling, trustedCaFile, crlFile }: TlsConfig): string[] {
  const files = [certFile, keyFile, calling?.certFile, calling?.keyFile, trustedCaFile, crlFile]
  return files.filter((file) => typeof file === 'string')
}

/** Tells one state of the files from another. */
async function marksOf(config: TlsConfig): Promise<string> {
  const marks = filesOf(config).map((file) =>
    stat(file).then(
      ({ mtimeMs, size, ino }) => `${mtimeMs} ${size} ${ino}`,
      () => 'none',
    ),
  )
  return (await Promise.all(marks)).join('\n')
}

async function readMaterial(config: TlsConfig): Promise<Material> {
  const { minVersion, maxVersion, ciphers, side } = config
  const ca = config.trustedCaFile === null ? null : await readAuthorities(config.trustedCaFile)
  const crl = config.crlFile === null ? null : await read(config.crlFile)
  const shared = {
    minVersion,
    maxVersion,
    ...(ca === null ? {} : { ca }),
    ...(ciphers === null ? {} : { ciphers }),
  }
  const pair = await readPair(config)
  const listening = { ...shared, ...pair, ...(crl === null ? {} : { crl }) }
  const calling = config.calling === null ? pair : await readPair({ ...config.calling })
  check(listening, `TLS for ${side}`)
  check({ ...shared, ...calling }, `TLS for ${side}`)
  return { listening, calling: { ...shared, ...calling } }
}

interface Files {
  readonly certFile: string
  readonly keyFile: string
}

/** A certificate and its key. Rejects with a {@link CertificateError}. */
export async function readPair({
  certFile,
  keyFile,
}: Files): Promise<{ cert: string; key: string }> {
  const [cert, key] = await Promise.all([read(certFile), read(keyFile)])
  const [first] = certificatesIn(cert)
  if (first === undefined) throw new CertificateError(`${certFile} holds no certificate`)
  if (!first.checkPrivateKey(privateKey(key, keyFile)))
    throw new CertificateError(`the certificate in ${certFile} is not of the key in ${keyFile}`)
  return { cert, key }
}

/** The same for certificates of those who sign others. */
export async function readAuthorities(file: string): Promise<string> {
  const text = await read(file)
  if (certificatesIn(text).length === 0) throw new CertificateError(`${file} holds no certificate`)
  return text
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new CertificateError(`${file} cannot be read: ${why}`, { cause })
  }
}

function certificatesIn(text: string): readonly X509Certificate[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? []
  try {
    return blocks.map((block) => new X509Certificate(block))
  } catch {
    return []
  }
}

function privateKey(text: string, file: string): KeyObject {
  try {
    return createPrivateKey(text)
  } catch (cause) {
    throw new CertificateError(`${file} holds no key that can be used`, { cause })
  }
}

function check(material: SecureContextOptions, what: string): void {
  try {
    createSecureContext(material)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new CertificateError(`${what} is not possible: ${why}`, { cause })
  }
}
