-- What was taken out of event on request, and when; nothing that says whose it was.
create table forgotten (
    at timestamptz not null default now(),
    users integer not null,
    rows bigint not null
);

-- What stands for a name that is forgotten; salt: drawn anew each time, and kept nowhere.
create function forget_token(salt text, name text) returns text
language sql immutable as $$
    select 'forgotten-' || left(encode(sha256(convert_to(salt || name, 'UTF8')), 'hex'), 24)
$$;
