/** Certificates that a member makes itself, once, and keeps in its data directory. */
import { X509Certificate } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { issueCertificate } from './x509.ts'

export interface SelfSigned {
  readonly certFile: string
  readonly keyFile: string
  readonly hosts: readonly string[]
  readonly years: number
}

/** Makes both files if they are not there, or if their time is over. Answers whether it did. */
export async function ensureSelfSigned(wanted: SelfSigned, now: Date): Promise<boolean> {
  if (await isGood(wanted, now)) return false
  const notAfter = new Date(now)
  notAfter.setUTCFullYear(now.getUTCFullYear() + wanted.years)
  const { certificatePem, keyPem } = issueCertificate({
    organization: 'coracle',
    hosts: wanted.hosts,
    notBefore: now,
    notAfter,
  })
  await mkdir(dirname(wanted.certFile), { recursive: true, mode: 0o700 })
  await write(wanted.keyFile, keyPem)
  await write(wanted.certFile, certificatePem)
  return true
}

async function isGood({ certFile, keyFile }: SelfSigned, now: Date): Promise<boolean> {
  try {
    const [certificate] = await Promise.all([readFile(certFile), readFile(keyFile)])
    return now < new Date(new X509Certificate(certificate).validTo)
  } catch {
    return false
  }
}

/** Written beside, and then named, so that nobody finds half of it. */
async function write(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 })
  await rename(`${path}.new`, path)
}
