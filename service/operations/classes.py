"""A class: whoever knows its code gets a key of their own. Results stay hidden from each other until it is opened."""

from __future__ import annotations

import secrets

from service.errors import ClassFull, NameTaken, NotFound
from service.operations.keys import PREFIX, hashed
from service.people import ApiKey, Classroom
from service.store import Connection, api_key_rows, audit_rows, class_rows, mapper
from service.store.engine import Store
from service.store.ids import new_id

LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""What a code is made of: no letter is taken for another one on a blackboard."""
CODE_LENGTH = 12  # of 31 letters: 59 bits, which nobody guesses over a network


def create_class(store: Store, name: str, most: int) -> tuple[Classroom, str]:
    """Make a class.

    Args:
        name: of the class; its students are called `NAME-…`.
        most: how many may join.

    Returns:
        The class and its code, which cannot be read again.

    Raises:
        NameTaken: there is a class of that name.
    """
    code = "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH))

    def work(connection: Connection) -> Classroom:
        if any(row.name == name for row in class_rows.class_rows(connection)):
            raise NameTaken(name)
        class_rows.insert_class(connection, name, hashed(code), most)
        audit_rows.record_audit(connection, "created", "class", name, most=most)
        return _class(connection, name)

    return store.write(work, lock_name="classes"), code


def join_class(store: Store, code: str, student: str) -> tuple[ApiKey, str]:
    """Make a key for somebody who knows the code of a class.

    Args:
        code: of the class; spaces and capital letters do not matter.
        student: the name they choose; with the class' name before it, it owns what they do.

    Returns:
        The key, which reads and writes, and its secret.

    Raises:
        NotFound: no class has this code.
        NameTaken: somebody of the class has this name.
        ClassFull: as many have joined as the class was made for.
    """
    secret = PREFIX + secrets.token_urlsafe(32)

    def work(connection: Connection) -> ApiKey:
        row = class_rows.lock_class(connection, hashed("".join(code.split()).lower()))
        if row is None:
            raise NotFound("class", code)
        owner, id = f"{row.name}-{student}", new_id()
        if class_rows.knows_owner(connection, owner):
            raise NameTaken(student)
        if len(class_rows.student_rows(connection, row.name)) >= row.most:
            raise ClassFull(row.name, row.most)
        values = {
            "id": id, "owner": owner, "scopes": ["read", "write"], "hash": hashed(secret),
            "hint": secret[: len(PREFIX) + 4], "quota": None, "class_name": row.name,
        }  # fmt: skip
        api_key_rows.insert_api_key(connection, values)
        audit_rows.record_audit(connection, "joined", "class", row.name, owner=owner)
        return next(key for key in _students(connection, row.name) if key.id == id)

    return store.write(work, lock_name="classes"), secret


def open_class(store: Store, name: str, opened: bool) -> Classroom:
    """Let the students of a class see each other's results, or hide them again.

    Raises:
        NotFound: there is no such class.
    """

    def work(connection: Connection) -> Classroom:
        if not class_rows.set_opened(connection, name, opened):
            raise NotFound("class", name)
        audit_rows.record_audit(connection, "opened" if opened else "closed", "class", name)
        return _class(connection, name)

    return store.write(work)


def list_classes(store: Store) -> list[Classroom]:
    """All classes, the oldest first."""
    return store.read(
        lambda connection: [mapper.to_classroom(row) for row in class_rows.class_rows(connection)]
    )


def class_and_students(store: Store, name: str) -> tuple[Classroom, list[ApiKey]]:
    """A class and the keys of its students by name, without those that were revoked.

    Raises:
        NotFound: there is no such class.
    """
    return store.read(lambda connection: (_class(connection, name), _students(connection, name)))


def _class(connection: Connection, name: str) -> Classroom:
    row = next((row for row in class_rows.class_rows(connection) if row.name == name), None)
    if row is None:
        raise NotFound("class", name)
    return mapper.to_classroom(row)


def _students(connection: Connection, name: str) -> list[ApiKey]:
    return [mapper.to_api_key(row) for row in class_rows.student_rows(connection, name)]
