-- By the thumbprint of which key the client answered: RFC 8555 8.3 has the key authorization stored when a response
-- comes, and the account may have another key when the validation is taken up again. Rows from before have none; for
-- them it is the account's.
ALTER TABLE authz ADD COLUMN attempted_by TEXT;
