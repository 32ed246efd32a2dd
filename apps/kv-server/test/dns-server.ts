/** A name server on the loopback that knows SRV records only (RFC 1035, RFC 2782). */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { Service } from '../src/discovery/dns.ts'

export interface DnsServer extends AsyncDisposable {
  /** As `Resolver.setServers` takes it. */
  readonly address: string
  /** Every name that was asked for. */
  readonly asked: readonly string[]
}

type Answer = readonly Service[] | 'broken'

const SRV = 33
const SERVER_FAILURE = 2
const NO_SUCH_NAME = 3

/** Names that are not among the answers do not exist; those that are `broken` cannot be told. */
export async function startDnsServer(
  answers: Readonly<Record<string, Answer>>,
): Promise<DnsServer> {
  const asked: string[] = []
  const socket = createSocket('udp4')
  socket.on('message', (question, { port, address }) => {
    const name = nameIn(question)
    asked.push(name)
    socket.send(reply(question, answers[name]), port, address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return {
    address: `127.0.0.1:${socket.address().port}`,
    asked,
    async [Symbol.asyncDispose]() {
      const closed = once(socket, 'close')
      socket.close()
      await closed
    },
  }
}

const HEADER_BYTES = 12

function nameIn(question: Buffer): string {
  const labels: string[] = []
  for (let at = HEADER_BYTES; question[at] !== 0; at += 1 + (question[at] ?? 0))
    labels.push(question.toString('latin1', at + 1, at + 1 + (question[at] ?? 0)))
  return labels.join('.').toLowerCase()
}

function reply(question: Buffer, answer: Answer | undefined): Buffer {
  const questionEnd = HEADER_BYTES + nameIn(question).length + 2 + 4
  const records = answer === undefined || answer === 'broken' ? [] : answer
  const code = answer === 'broken' ? SERVER_FAILURE : answer === undefined ? NO_SUCH_NAME : 0
  const header = Buffer.concat([question.subarray(0, 2), Buffer.alloc(HEADER_BYTES - 2)])
  header.writeUInt16BE(0x8180 | code, 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(records.length, 6)
  return Buffer.concat([
    header,
    question.subarray(HEADER_BYTES, questionEnd),
    ...records.map(recordOf),
  ])
}

function recordOf({ host, port }: Service): Buffer {
  const labels = host === '' ? [] : host.split('.')
  const target = Buffer.concat([
    ...labels.flatMap((label) => [Buffer.from([label.length]), Buffer.from(label)]),
    Buffer.from([0]),
  ])
  // The name of the question; type, class, time to live; and of the service priority and weight.
  const head = Buffer.from([0xc0, HEADER_BYTES, 0, SRV, 0, 1, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0])
  head.writeUInt16BE(6 + target.length, 10)
  head.writeUInt16BE(port, 16)
  return Buffer.concat([head, target])
}
