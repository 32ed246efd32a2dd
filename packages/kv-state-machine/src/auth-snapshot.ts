import { CodecError, type Reader, type Writer } from '@coracle/raft-core/codec'
import { readRole, readUser, writeRole, writeUser } from './auth-codec.ts'
import { type AuthState, type AuthStore, byText } from './auth-store.ts'

/** The kinds of records, in the order in which they come: users name roles. */
const SWITCH = 1
const ROLE = 2
const USER = 3

/** Writes records until the block is full. Answers how many; none at the end. */
export type FillBlock = (writer: Writer, maxBytes: number) => number

/** Users and roles, one block after the other: equal states give equal bytes. */
export function authBlocks({ enabled, revision, roles, users }: AuthState): FillBlock {
  const records: ((writer: Writer) => void)[] = [
    (writer) => {
      writer.u8(SWITCH)
      writer.boolean(enabled)
      writer.u64(revision)
    },
  ]
  for (const role of roles.toSorted(byName))
    records.push((writer) => {
      writer.u8(ROLE)
      writeRole(writer, role)
    })
  for (const user of users.toSorted(byName))
    records.push((writer) => {
      writer.u8(USER)
      writeUser(writer, user)
    })
  let next = 0
  return (writer, maxBytes) => {
    const first = next
    while (next < records.length && writer.length < maxBytes) records[next++]?.(writer)
    return next - first
  }
}

/** Takes in a block of records. Answers how many there were. Throws a CodecError if they make no sense. */
export function loadAuthBlock(reader: Reader, auth: AuthStore): number {
  let count = 0
  for (; reader.remaining > 0; count++) {
    const kind = reader.u8()
    if (kind === SWITCH) auth.loadAt({ enabled: reader.boolean(), revision: reader.u64() })
    else if (kind === ROLE) auth.loadRole(readRole(reader))
    else if (kind === USER) auth.loadUser(readUser(reader))
    else throw new CodecError('an unknown kind of record about users and roles')
  }
  return count
}

function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return byText(a.name, b.name)
}
