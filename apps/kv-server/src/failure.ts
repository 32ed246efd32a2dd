/** What went wrong, in one sentence for whoever runs the member. */
import { StorageError } from '@coracle/storage-level'
import { DiscoveryError } from './discovery/srv.ts'
import { DirectoryError } from './identity.ts'
import { SocketError } from './sockets.ts'
import { CertificateError } from './tls/certificates.ts'

const SENTENCES = [StorageError, DirectoryError, DiscoveryError, SocketError, CertificateError]

/** Errors that are sentences stand alone; of others, the causes tell more than "could not start". */
export function explain(error: unknown): string {
  const chain = causes(error)
  const sentence = chain.find((each) => SENTENCES.some((Sentence) => each instanceof Sentence))
  if (sentence !== undefined) return sentence.message
  const taken = chain.find((each) => isTaken(each))
  if (taken !== undefined)
    return `port ${taken.port} on ${taken.address} is taken: another program listens there`
  return chain.map(({ message }) => message.split('\n')[0]).join(': ')
}

interface Taken extends Error {
  readonly address: string
  readonly port: number
}

function isTaken(error: Error): error is Taken {
  // The port of a socket in the file system is -1: its path is in the message already.
  const hasPort = 'port' in error && 'address' in error && Number(error.port) > 0
  return hasPort && 'code' in error && error.code === 'EADDRINUSE'
}

function causes(error: unknown): Error[] {
  const chain: Error[] = []
  let at: unknown = error
  while (at instanceof Error && chain.length < 5) {
    chain.push(at)
    at = at.cause
  }
  return chain.length > 0 ? chain : [new Error(String(error))]
}
