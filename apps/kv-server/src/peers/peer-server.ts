/** Answers other members over HTTP/1.1, on connections that the transport hands over. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import {
  describeMembers,
  ETCD_STORAGE_VERSION,
  ETCD_VERSION,
  type ForwardedAnswer,
} from '@coracle/etcd-api'
import type { KvStateMachine } from '@coracle/kv-state-machine'
import type { RaftNode } from '@coracle/raft-core'
import { urlsOfAddress } from './addresses.ts'
import {
  CLUSTER_HEADER,
  type ClusterView,
  FORWARD_PATH,
  HASH_PATH,
  MEMBERS_PATH,
  type RemoteHash,
  VERSION_PATH,
} from './protocol.ts'

/** What there is to be asked of, once the member runs. */
export interface PeerAnswers {
  /** In hexadecimal. */
  readonly clusterId: string
  readonly node: Pick<RaftNode, 'status'>
  readonly stateMachine: KvStateMachine
  readonly answerForwarded: (path: string, request: Uint8Array) => Promise<ForwardedAnswer>
}

export interface PeerServer extends Disposable {
  /** Takes a connection from which nothing was read yet. */
  accept(socket: Socket): void
  /** From now on there is something to answer with. */
  serve(answers: PeerAnswers): void
}

/** A request is as large as a client's may be, and a little more. */
const AROUND_BYTES = 1 << 20
const HEADERS_TIMEOUT_MS = 5_000
const REQUEST_TIMEOUT_MS = 30_000

export function peerServer({ maxRequestBytes }: { readonly maxRequestBytes: number }): PeerServer {
  let answers: PeerAnswers | null = null
  const maxBytes = maxRequestBytes + AROUND_BYTES
  const server = createServer((request, response) => {
    if (answers === null) return send(response, 503, 'the member is about to start')
    answer(answers, request, response, maxBytes).catch((error: unknown) =>
      send(response, 500, error instanceof Error ? error.message : 'unknown error'),
    )
  })
  server.headersTimeout = HEADERS_TIMEOUT_MS
  server.requestTimeout = REQUEST_TIMEOUT_MS
  return {
    accept(socket) {
      server.emit('connection', socket)
    },
    serve(given) {
      answers = given
    },
    [Symbol.dispose]() {
      answers = null
      server.closeAllConnections()
    },
  }
}

async function answer(
  answers: PeerAnswers,
  request: IncomingMessage,
  response: ServerResponse,
  maxBytes: number,
): Promise<void> {
  response.setHeader(CLUSTER_HEADER, answers.clusterId)
  const { method, url = '' } = request
  if (method === 'GET' && url === MEMBERS_PATH) return sendJson(response, viewOf(answers))
  if (method === 'GET' && url === VERSION_PATH)
    return sendJson(response, { etcdserver: ETCD_VERSION, etcdcluster: ETCD_STORAGE_VERSION })
  if (method !== 'POST') return send(response, 404, 'there is nothing here')
  if (request.headers[CLUSTER_HEADER] !== answers.clusterId)
    return send(response, 412, 'this is another cluster')
  const body = await readBody(request, maxBytes)
  if (body === null) return send(response, 413, 'the request is too large')
  if (url === HASH_PATH) return sendJson(response, hashOf(answers.stateMachine, body))
  if (!url.startsWith(`${FORWARD_PATH}/`)) return send(response, 404, 'there is nothing here')
  const outcome = await answers.answerForwarded(url.slice(FORWARD_PATH.length), body)
  if ('code' in outcome) return sendJson(response, outcome, 422)
  response.setHeader('content-type', 'application/x-protobuf')
  response.end(outcome.response)
}

function viewOf({ clusterId, node, stateMachine }: PeerAnswers): ClusterView {
  const { membership } = node.status()
  const urls = ({ address }: { readonly address: string }): readonly string[] =>
    urlsOfAddress(address)
  return {
    format: 1,
    clusterId,
    members: describeMembers(membership, stateMachine.members(), urls).map(
      ({ nodeId, name, peerUrls, clientUrls, isLearner }) => ({
        id: nodeId,
        name,
        peerUrls,
        clientUrls,
        isLearner,
      }),
    ),
    removed: membership.removed.map(({ id }) => id),
  }
}

function hashOf(stateMachine: KvStateMachine, body: Uint8Array): RemoteHash {
  const revision = Number(new TextDecoder().decode(body))
  if (!Number.isSafeInteger(revision)) return { refused: 'the revision is no number' }
  const result = stateMachine.hashKv(revision)
  if (result.type === 'failure') return { refused: result.code }
  const { hash, compactRevision } = result
  return { hash, compactRevision, revision: result.hashRevision }
}

async function readBody(request: IncomingMessage, maxBytes: number): Promise<Uint8Array | null> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    bytes += chunk.length
    if (bytes > maxBytes) return null
    chunks.push(chunk)
  }
  return new Uint8Array(Buffer.concat(chunks))
}

function sendJson(response: ServerResponse, value: object, status = 200): void {
  response.statusCode = status
  response.setHeader('content-type', 'application/json')
  response.end(`${JSON.stringify(value)}\n`)
}

function send(response: ServerResponse, status: number, text: string): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  response.statusCode = status
  response.setHeader('content-type', 'text/plain')
  response.setHeader('connection', 'close')
  response.end(`${text}\n`)
}
